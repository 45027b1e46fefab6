package dev.gatun.train;

import dev.gatun.nn.DeviceBatch;
import dev.gatun.op.Backend;
import dev.gatun.tensor.Tensor;

/// What a batch's outputs sum up to.
///
/// @param lossSum over its targets
/// @param correct targets that had the largest logit
/// @param entropySum over its targets
record BatchFigures(long targets, double lossSum, long correct, double entropySum) {

  /// Reads the figures that the last pass over `batch` left; waits for it.
  static BatchFigures read(Backend backend, DeviceBatch batch) {
    int targets = batch.trainedCount();
    if (targets == 0) {
      return new BatchFigures(0, 0, 0, 0);
    }
    Tensor figures = backend.download(batch.figures());
    double loss = 0;
    for (float value : figures.rows(0, 1).toFloats()) {
      loss += value;
    }
    long correct = 0;
    for (int value : DeviceBatch.correct(figures).toInts()) {
      correct += value;
    }
    double entropy = 0;
    for (float value : figures.rows(2, 1).toFloats()) {
      entropy += value;
    }
    return new BatchFigures(targets, loss, correct, entropy);
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
