package dev.gatun.data;

import dev.gatun.text.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/// Counts what preparation does, row by row.
final class PreparationCounts {
  private final Tokenizer tokenizer;
  private final OptionalInt eos;
  private final OptionalInt bos;
  private long sourceRows;
  private int longest;
  private long overlongRows;
  private String firstOverlong = "";
  private long truncatedRows;
  private long cutTokens;
  private long droppedOverlong;
  private long maskedRows;
  private long untrainedByCut;
  private String firstUntrained = "";
  private long eosTrainedRows;
  private OptionalInt turnEnd = OptionalInt.empty();
  private long turnEndRows;
  private long doubleBosRows;
  private long unstablePromptRows;
  private long repeatedRows;
  private String firstRepeated = "";
  private final IntStream.Builder lengths = IntStream.builder();
  private final Endings endings = new Endings();
  private long derivedRows;
  private long noInstructionRows;
  private String whyMasked = "";

  PreparationCounts(Tokenizer tokenizer) {
    this.tokenizer = tokenizer;
    this.eos = tokenizer.eosTokenId();
    this.bos = tokenizer.bosTokenId();
  }

  /// @param token with which the chat template ends an assistant's turn
  void endOfTurn(OptionalInt token) {
    turnEnd = token;
  }

  void read(ExampleTokeniser.Tokens tokens) {
    int[] ids = tokens.ids();
    sourceRows++;
    lengths.add(ids.length);
    longest = Math.max(longest, ids.length);
    unstablePromptRows += tokens.unstablePrompt() ? 1 : 0;
    derivedRows += tokens.derivedTurns() ? 1 : 0;
    noInstructionRows += tokens.noInstruction() ? 1 : 0;
    boolean doubled =
        bos.isPresent() && ids.length > 1 && ids[0] == bos.getAsInt() && ids[1] == ids[0];
    doubleBosRows += doubled ? 1 : 0;
  }

  void overlong(Row row) {
    firstOverlong = overlongRows++ == 0 ? row.where() : firstOverlong;
  }

  void truncated(int tokens) {
    truncatedRows++;
    cutTokens += tokens;
  }

  void droppedOverlong() {
    droppedOverlong++;
  }

  /// A row of which nothing was to be trained.
  ///
  /// @param why in words
  void droppedMasked(Row row, String why) {
    untrained(row);
    whyMasked = maskedRows++ == 0 ? "%s: %s".formatted(row.where(), why) : whyMasked;
  }

  /// A row whose trained part was cut off.
  void droppedCut(Row row) {
    untrained(row);
    untrainedByCut++;
  }

  private void untrained(Row row) {
    firstUntrained = droppedUntrained() == 0 ? row.where() : firstUntrained;
  }

  private long droppedUntrained() {
    return maskedRows + untrainedByCut;
  }

  /// @param first where the first of them is
  /// @param original where the row is that it repeats
  void repeated(int rows, String first, String original) {
    repeatedRows = rows;
    firstRepeated = first + " is " + original;
  }

  void kept(int[] labels) {
    endings.add(labels);
    eosTrainedRows += isTrained(eos, labels) ? 1 : 0;
    turnEndRows += isTrained(turnEnd, labels) ? 1 : 0;
  }

  /// Nothing predicts the first token of a row.
  private static boolean isTrained(OptionalInt token, int[] labels) {
    return token.isPresent()
        && Arrays.stream(labels).skip(1).anyMatch(label -> label == token.getAsInt());
  }

  long overlongRows() {
    return overlongRows;
  }

  String tooLong(int maxLength) {
    return "%d of %d rows are longer than max_length = %d tokens (the longest has %d; the first is %s);"
            .formatted(overlongRows, sourceRows, maxLength, longest, firstOverlong)
        + " raise max_length, or set overlong_policy to truncate or drop.";
  }

  String nothingLeft(String data) {
    return "%s leaves no row to train: of %d rows, %d have no trained token%s and %d are over-long."
        .formatted(
            data,
            sourceRows,
            droppedUntrained(),
            firstUntrained.isEmpty() ? "" : " (" + whyUntrained() + ")",
            droppedOverlong);
  }

  /// Reasons, and where the first such row is.
  private String whyUntrained() {
    String masked = "in %d nothing was to be trained, such as %s".formatted(maskedRows, whyMasked);
    String cut = "of %d the trained part lies beyond max_length".formatted(untrainedByCut);
    if (untrainedByCut == 0) {
      return masked;
    }
    return (maskedRows == 0 ? cut : masked + "; " + cut) + "; the first is " + firstUntrained;
  }

  DataFigures figures(DataFigures.@Nullable Packing packing, TrainedText sample) {
    return new DataFigures(
        LengthFigures.of(lengths.build().toArray()),
        packing,
        repeatedRows,
        new DataFigures.Untrained(maskedRows, untrainedByCut),
        endings.commonest(tokenizer),
        turnEnd.isEmpty()
            ? null
            : new DataFigures.TurnEnd(
                turnEnd.getAsInt(),
                tokenizer.decode(new int[] {turnEnd.getAsInt()}, false),
                turnEndRows),
        sample);
  }

  PreparationReport report(HeapRows rows, DataFigures figures, long keptRows) {
    return new PreparationReport(
        sourceRows,
        rows.size(),
        rows.report().sequences(),
        rows.report().tokens(),
        rows.report().trainedTokens(),
        longest,
        overlongRows,
        truncatedRows,
        cutTokens,
        droppedOverlong,
        droppedUntrained(),
        eosTrainedRows,
        doubleBosRows,
        unstablePromptRows,
        figures,
        notices(keptRows));
  }

  private List<String> notices(long keptRows) {
    List<String> notices = new ArrayList<>();
    if (truncatedRows > 0) {
      notices.add("Truncated rows: %d; tokens cut off: %d.".formatted(truncatedRows, cutTokens));
    }
    if (droppedOverlong > 0) {
      notices.add("Over-long rows, dropped: %d.".formatted(droppedOverlong));
    }
    if (droppedUntrained() > 0) {
      notices.add(
          "Rows without a trained token, dropped: %d (%s)."
              .formatted(droppedUntrained(), whyUntrained()));
    }
    if (eosTrainedRows > 0 && eosTrainedRows < keptRows) {
      notices.add(
          "The end-of-sequence token %s is trained in only %d of %d rows."
              .formatted(tokenizer.eosToken().orElse(""), eosTrainedRows, keptRows));
    }
    if (repeatedRows > 0) {
      notices.add(
          "Exact repeats of earlier rows: %d (the first: %s)."
              .formatted(repeatedRows, firstRepeated));
    }
    if (derivedRows > 0) {
      notices.add(
          "Rows whose assistant turns were derived by rendering, since the chat template does not mark them with {%% generation %%}: %d; `gatun preview` shows what is trained."
              .formatted(derivedRows));
    }
    if (noInstructionRows == sourceRows) {
      notices.add(
          "The instruction_part is found in no row, so all that follows the first response_part of a row is trained; `gatun preview` shows it.");
    }
    if (doubleBosRows > 0) {
      notices.add(
          "Rows that begin with %s twice: %d; remove it from the text."
              .formatted(tokenizer.bosToken().orElse(""), doubleBosRows));
    }
    if (unstablePromptRows > 0) {
      notices.add(
          "Rows whose prompt's last token merges with the completion: %d; begin completions with the space and end prompts without it."
              .formatted(unstablePromptRows));
    }
    return notices;
  }
}
