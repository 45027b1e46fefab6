package dev.gatun.train;

import java.nio.file.Path;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// How a run ended.
///
/// @param steps updates done
/// @param stopped whether it was stopped before its last update
/// @param trainLoss mean of the losses of all updates
/// @param evaluations figures after the last update by the name of the evaluation data, empty for
///   data without a name; none without evaluation data or when stopped
/// @param directory where adapter or weights are
public record TrainingResult(
    int steps,
    boolean stopped,
    double trainLoss,
    Map<String, EvaluationResult> evaluations,
    Path directory) {
  public TrainingResult {
    evaluations = Map.copyOf(evaluations);
  }

  /// Figures of the evaluation data without a name after the last update, or null.
  public @Nullable EvaluationResult evaluation() {
    return evaluations.get("");
  }
}
