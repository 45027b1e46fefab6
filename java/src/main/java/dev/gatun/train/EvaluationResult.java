package dev.gatun.train;

import java.time.Duration;
import java.util.List;

/// Figures of one pass over the evaluation data.
///
/// @param loss mean over all targets
/// @param rowWeightedLoss TRL's `eval_loss`: the batches' mean losses, each weighted by its number
///   of rows, so it depends on the batch size
/// @param meanTokenAccuracy share of targets that had the largest logit, the mean over batches as
///   TRL logs it
/// @param entropy mean entropy of the predictions, the mean over batches as TRL logs it
/// @param targets trained tokens
/// @param rows dataset rows
/// @param sources loss of every source file; empty unless the data are given as several files
public record EvaluationResult(
    double loss,
    double rowWeightedLoss,
    double meanTokenAccuracy,
    double entropy,
    long targets,
    long rows,
    Duration duration,
    List<SourceLoss> sources) {
  public EvaluationResult {
    sources = List.copyOf(sources);
  }

  /// The targets of one source file.
  ///
  /// @param name of the file, as far as it tells it from the others
  /// @param loss mean over them
  public record SourceLoss(String name, double loss, long targets) {}

  EvaluationResult withSources(List<SourceLoss> losses) {
    return new EvaluationResult(
        loss, rowWeightedLoss, meanTokenAccuracy, entropy, targets, rows, duration, losses);
  }

  /// `exp(loss)`.
  public double perplexity() {
    return Math.exp(loss);
  }
}
