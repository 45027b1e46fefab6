package dev.gatun.data;

import java.util.Locale;
import org.jspecify.annotations.Nullable;

/// Something about prepared data that spoils a run. One that stops it is an error unless
/// `allow_findings` names it.
///
/// @param message what is wrong and what to do
/// @param stops whether training refuses the data
public record DataFinding(Kind kind, String message, boolean stops) {

  /// What can be wrong.
  public enum Kind {
    /// Nothing predicts a single token.
    NOTHING_TRAINED,
    /// Rows are longer than `max_length`, and `overlong_policy` is `error`.
    OVERLONG,
    /// No row is trained to end with a token at which generation stops.
    EOS_NEVER_TRAINED,
    /// Every row lost its end to `max_length`.
    ALL_TRUNCATED,
    /// Evaluation data are among the training data.
    TRAIN_EVAL_LEAK;

    /// The name in `allow_findings` and in JSON.
    public String configName() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /// Rows over `max_length` where the policy refuses them.
  ///
  /// @param data what the rows are of, null for the training data
  public static DataFinding overlong(PreparationReport report, @Nullable EvaluationRows data) {
    return new DataFinding(
        Kind.OVERLONG,
        "%d of %d rows%s are longer than max_length and overlong_policy is error; raise max_length, or choose to truncate or drop such rows"
            .formatted(
                report.overlongRows(),
                report.sourceRows(),
                data == null ? "" : " of the " + data.description()),
        true);
  }

  /// What `allow_findings` may name: findings that stop a run, though it could be made.
  public enum Allowable {
    EOS_NEVER_TRAINED,
    ALL_TRUNCATED
  }
}
