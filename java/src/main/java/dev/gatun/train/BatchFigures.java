package dev.gatun.train;

import dev.gatun.nn.DeviceBatch;
import dev.gatun.op.Backend;

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
    double loss = 0;
    for (float value : backend.download(batch.outputs().tokenLoss()).toFloats()) {
      loss += value;
    }
    long correct = 0;
    if (batch.outputs().correct() != null) {
      for (int value : backend.download(batch.outputs().correct()).toInts()) {
        correct += value;
      }
    }
    double entropy = 0;
    if (batch.outputs().entropy() != null) {
      for (float value : backend.download(batch.outputs().entropy()).toFloats()) {
        entropy += value;
      }
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
