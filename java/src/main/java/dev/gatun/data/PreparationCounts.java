package dev.gatun.data;

import dev.gatun.text.Tokenizer;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;

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
  private long droppedUntrained;
  private String firstUntrained = "";
  private long eosTrainedRows;
  private long doubleBosRows;
  private long unstablePromptRows;
  private long derivedRows;

  PreparationCounts(Tokenizer tokenizer) {
    this.tokenizer = tokenizer;
    this.eos = tokenizer.eosTokenId();
    this.bos = tokenizer.bosTokenId();
  }

  void read(ExampleTokeniser.Tokens tokens) {
    int[] ids = tokens.ids();
    sourceRows++;
    longest = Math.max(longest, ids.length);
    unstablePromptRows += tokens.unstablePrompt() ? 1 : 0;
    derivedRows += tokens.derivedTurns() ? 1 : 0;
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

  void droppedUntrained(Row row) {
    firstUntrained = droppedUntrained++ == 0 ? row.where() : firstUntrained;
  }

  void kept(int[] labels) {
    if (eos.isEmpty()) {
      return;
    }
    for (int t = 1; t < labels.length; t++) {
      if (labels[t] == eos.getAsInt()) {
        eosTrainedRows++;
        return;
      }
    }
  }

  long overlongRows() {
    return overlongRows;
  }

  String tooLong(int maxLength) {
    return "%d of %d rows are longer than max_length = %d tokens (the longest has %d; the first is %s);"
            .formatted(overlongRows, sourceRows, maxLength, longest, firstOverlong)
        + " raise max_length, or choose to truncate or drop such rows.";
  }

  String nothingLeft(String data) {
    return "%s leaves no row to train: of %d rows, %d have no trained token%s and %d are over-long."
        .formatted(
            data,
            sourceRows,
            droppedUntrained,
            firstUntrained.isEmpty() ? "" : " (the first is " + firstUntrained + ")",
            droppedOverlong);
  }

  PreparationReport report(HeapRows rows, long keptRows) {
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
        droppedUntrained,
        eosTrainedRows,
        doubleBosRows,
        unstablePromptRows,
        notices(keptRows));
  }

  private List<String> notices(long keptRows) {
    List<String> notices = new ArrayList<>();
    if (truncatedRows > 0) {
      notices.add("%d rows were truncated, %d tokens cut off.".formatted(truncatedRows, cutTokens));
    }
    if (droppedOverlong > 0) {
      notices.add(droppedOverlong + " over-long rows were dropped.");
    }
    if (droppedUntrained > 0) {
      notices.add(
          "%d rows have no trained token and were dropped (the first is %s)."
              .formatted(droppedUntrained, firstUntrained));
    }
    if (eosTrainedRows < keptRows) {
      notices.add(
          "The end-of-sequence token %s is trained in %d of %d rows%s"
              .formatted(
                  tokenizer.eosToken().orElse("(the tokenizer names none)"),
                  eosTrainedRows,
                  keptRows,
                  eosTrainedRows == 0 ? ": the model will not learn to stop." : "."));
    }
    if (derivedRows > 0) {
      notices.add(
          "In %d rows the assistant's turns were derived by rendering, since the chat template does not mark them with {%% generation %%}; `gatun preview` shows what is trained."
              .formatted(derivedRows));
    }
    if (doubleBosRows > 0) {
      notices.add(
          "%d rows begin with %s twice; remove it from the text."
              .formatted(doubleBosRows, tokenizer.bosToken().orElse("")));
    }
    if (unstablePromptRows > 0) {
      notices.add(
          "In %d rows the prompt's last token merges with the completion; begin completions with the"
                  .formatted(unstablePromptRows)
              + " space and end prompts without it.");
    }
    return notices;
  }
}
