package dev.gatun.train;

import dev.gatun.nn.DeviceBatch;
import dev.gatun.op.Backend;
import dev.gatun.tensor.Tensor;
import java.util.Arrays;

/// A batch's outputs on the host, one entry a target, in the order of the batch's tokens.
///
/// @param losses `[n]`
/// @param correct `[n]` 1 where the target had the largest logit, else 0
/// @param entropies `[n]`
record TargetFigures(float[] losses, int[] correct, float[] entropies) {

  /// Reads what the last pass over `batch` left; waits for it.
  static TargetFigures read(Backend backend, DeviceBatch batch) {
    if (batch.trainedCount() == 0) {
      return new TargetFigures(new float[0], new int[0], new float[0]);
    }
    Tensor figures = backend.download(batch.figures());
    return new TargetFigures(
        figures.rows(0, 1).toFloats(),
        DeviceBatch.correct(figures).toInts(),
        figures.rows(2, 1).toFloats());
  }

  /// Those of the targets `from … to-1`.
  TargetFigures part(int from, int to) {
    return new TargetFigures(
        Arrays.copyOfRange(losses, from, to),
        Arrays.copyOfRange(correct, from, to),
        Arrays.copyOfRange(entropies, from, to));
  }

  /// What they sum up to.
  BatchFigures sum() {
    double loss = 0;
    long right = 0;
    double entropy = 0;
    for (int i = 0; i < losses.length; i++) {
      loss += losses[i];
      right += correct[i];
      entropy += entropies[i];
    }
    return new BatchFigures(losses.length, loss, right, entropy);
  }
}
