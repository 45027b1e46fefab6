package dev.gatun.train;

import java.util.List;
import java.util.function.ToDoubleFunction;

/// What the figures of some targets sum up to: those of a batch, or of a dataset row.
///
/// @param lossSum over its targets
/// @param correct targets that had the largest logit
/// @param entropySum over its targets
record BatchFigures(long targets, double lossSum, long correct, double entropySum) {
  static final BatchFigures NONE = new BatchFigures(0, 0, 0, 0);

  BatchFigures plus(BatchFigures other) {
    return new BatchFigures(
        targets + other.targets,
        lossSum + other.lossSum,
        correct + other.correct,
        entropySum + other.entropySum);
  }

  /// The mean of a figure over batches, whatever their sizes.
  static double mean(List<BatchFigures> figures, ToDoubleFunction<BatchFigures> figure) {
    return figures.stream().mapToDouble(figure).average().orElse(0);
  }

  double meanLoss() {
    return targets == 0 ? 0 : lossSum / targets;
  }

  double accuracy() {
    return targets == 0 ? 0 : (double) correct / targets;
  }

  double meanEntropy() {
    return targets == 0 ? 0 : entropySum / targets;
  }
}
