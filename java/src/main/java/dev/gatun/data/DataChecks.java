package dev.gatun.data;

import static java.util.Objects.requireNonNull;

import dev.gatun.text.Tokenizer;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/// What a user should know before data are trained on: findings from the figures that preparation
/// took, so that no row is read again.
///
/// @param tokenizer names the end-of-sequence token
/// @param endOfText ids at which generation from the model stops
/// @param allowed findings that do not stop the run
public record DataChecks(
    Tokenizer tokenizer, Set<Integer> endOfText, Set<DataFinding.Allowable> allowed) {

  public DataChecks {
    endOfText = Set.copyOf(endOfText);
    allowed = Set.copyOf(allowed);
  }

  /// Checks training data, and evaluation data for what both share.
  ///
  /// @param evaluation empty for none
  public List<DataFinding> of(PreparedDataset training, List<EvaluationRows> evaluation) {
    List<DataFinding> findings = new ArrayList<>();
    PreparationReport report = training.report();
    if (report.trainedTokens() == 0) {
      findings.add(nothingTrained(report));
    } else if (!learnsToStop(report)) {
      findings.add(endsTurns(report) ? stopsWithTemplate(report) : neverStops(report));
    }
    if (report.truncatedRows() > 0 && report.truncatedRows() >= report.keptRows()) {
      findings.add(
          new DataFinding(
              DataFinding.Kind.ALL_TRUNCATED,
              ("every row is longer than max_length and was cut (%d tokens lost, the longest row has"
                      + " %d); raise max_length, or set allow_findings: [all_truncated]")
                  .formatted(report.cutTokens(), report.longest()),
              !allowed.contains(DataFinding.Allowable.ALL_TRUNCATED)));
    }
    evaluation.forEach(each -> addLeaks(findings, training, each));
    return findings;
  }

  private boolean learnsToStop(PreparationReport report) {
    DataFigures.Ending ending = report.figures().ending();
    return report.eosTrainedRows() > 0 || (ending != null && endOfText.contains(ending.id()));
  }

  private static DataFinding nothingTrained(PreparationReport report) {
    return new DataFinding(
        DataFinding.Kind.NOTHING_TRAINED,
        "no token of the %d rows is trained: the only labels stand at the first token of a row, which nothing predicts; look at labels, completion_mask or response_part"
            .formatted(report.keptRows()),
        true);
  }

  private static boolean endsTurns(PreparationReport report) {
    DataFigures.TurnEnd turnEnd = report.figures().turnEnd();
    return turnEnd != null && turnEnd.rows() > 0;
  }

  /// Generation with the chat template stops where the template ends a turn.
  private DataFinding stopsWithTemplate(PreparationReport report) {
    DataFigures.TurnEnd turnEnd = requireNonNull(report.figures().turnEnd());
    return new DataFinding(
        DataFinding.Kind.EOS_NEVER_TRAINED,
        "%s; the model learns to end a turn with %s (id %d, trained in %d of %d rows), at which generation stops with the chat template alone: elsewhere name it in eos_token_id of generation_config.json"
            .formatted(
                eosUntrained(),
                quoted(turnEnd.token()),
                turnEnd.id(),
                turnEnd.rows(),
                report.keptRows()),
        false);
  }

  private String eosUntrained() {
    return tokenizer
        .eosToken()
        .map(eos -> "the end-of-sequence token " + eos + " is trained in no row")
        .orElse("the tokenizer names no end-of-sequence token");
  }

  private DataFinding neverStops(PreparationReport report) {
    DataFigures.Ending ending = report.figures().ending();
    String last =
        ending == null
            ? ""
            : "; %d of %d rows end with %s (id %d)"
                .formatted(ending.rows(), report.keptRows(), quoted(ending.token()), ending.id());
    return new DataFinding(
        DataFinding.Kind.EOS_NEVER_TRAINED,
        eosUntrained()
            + ", so the model would not learn to stop"
            + last
            + "; end the texts (or the chat template's turns) with it, or make the token that they"
            + " end with the tokenizer's eos_token, or set allow_findings: [eos_never_trained]",
        !allowed.contains(DataFinding.Allowable.EOS_NEVER_TRAINED));
  }

  private static void addLeaks(
      List<DataFinding> findings, PreparedDataset training, EvaluationRows evaluation) {
    Fingerprints.Shared shared = Fingerprints.shared(training, evaluation.rows());
    if (shared != null) {
      findings.add(
          new DataFinding(
              DataFinding.Kind.TRAIN_EVAL_LEAK,
              "%d samples of the %s are in the training data too (the first is %s); the evaluation loss will look better than it is"
                  .formatted(shared.count(), evaluation.description(), shared.first()),
              false));
    }
  }

  /// A token from a file must not move the cursor.
  private static String quoted(String token) {
    return "'" + token.replace("\n", "\\n").replaceAll("\\p{Cntrl}", "?") + "'";
  }
}
