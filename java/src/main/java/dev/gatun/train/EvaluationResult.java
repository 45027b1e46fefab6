package dev.gatun.train;

import java.time.Duration;

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
public record EvaluationResult(
    double loss,
    double rowWeightedLoss,
    double meanTokenAccuracy,
    double entropy,
    long targets,
    long rows,
    Duration duration) {
  /// `exp(loss)`.
  public double perplexity() {
    return Math.exp(loss);
  }
}
