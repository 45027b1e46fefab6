package dev.gatun.cpu;

import dev.gatun.cpu.kernel.Kernels;
import dev.gatun.op.LossOps;
import org.jspecify.annotations.Nullable;

/// Cross-entropy of one row of logits, and its gradient in their place.
final class LossRow {
  private final Kernels kernels;
  private final LossOps.Config config;
  private final Floats tokenLoss;
  private final @Nullable Ints correct;
  private final @Nullable Floats entropy;
  private final boolean wantsGradient;
  private final float upstream;

  LossRow(
      Kernels kernels,
      LossOps.Outputs outputs,
      LossOps.@Nullable Gradients gradients,
      LossOps.Config config) {
    this.kernels = kernels;
    this.config = config;
    tokenLoss = Floats.of(outputs.tokenLoss());
    correct = outputs.correct() == null ? null : Ints.of(outputs.correct());
    entropy = outputs.entropy() == null ? null : Floats.of(outputs.entropy());
    wantsGradient = gradients != null;
    upstream = gradients == null ? 0 : Floats.of(gradients.upstream()).at(0);
  }

  /// @param z the products with the head, bias included; replaced by the gradient if one is wanted
  /// @param e room for as many values
  void run(float[] z, float[] e, int n, long row, int label) {
    transform(z, n);
    float largest = kernels.max(z, 0, n);
    System.arraycopy(z, 0, e, 0, n);
    double sum = kernels.expSum(e, 0, n, largest);
    double logSum = Math.log(sum);
    double loss = logSum + ((double) largest - z[label]);
    if (config.labelSmoothing() > 0) {
      double uniform = logSum + (largest - mean(z, n));
      loss += config.labelSmoothing() * (uniform - loss);
    }
    tokenLoss.set(row, (float) loss);
    if (correct != null) {
      correct.set(row, z[label] == largest ? 1 : 0);
    }
    if (entropy != null) {
      double weighted = 0;
      for (int i = 0; i < n; i++) {
        // A forbidden token adds nothing, though its 0 × -∞ is not a number.
        if (e[i] > 0) {
          weighted += (double) e[i] * (z[i] - largest);
        }
      }
      entropy.set(row, (float) (logSum - weighted / sum));
    }
    if (wantsGradient) {
      gradient(z, e, n, label, sum);
    }
  }

  private void transform(float[] z, int n) {
    float scale = config.logitScale();
    float cap = config.softcap();
    if (scale != 1) {
      for (int i = 0; i < n; i++) {
        z[i] *= scale;
      }
    }
    if (cap != 0) {
      for (int i = 0; i < n; i++) {
        z[i] = (float) (cap * Math.tanh(z[i] / (double) cap));
      }
    }
  }

  private static double mean(float[] z, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) {
      sum += z[i];
    }
    return sum / n;
  }

  private void gradient(float[] z, float[] e, int n, int label, double sum) {
    float smoothing = config.labelSmoothing();
    float scale = config.logitScale();
    float cap = config.softcap();
    float each = smoothing / n;
    // p − target first, then the factors, so that a probability near 1 cancels exactly.
    double inverse = 1 / sum;
    float target = (float) (e[label] * inverse - (1 - (double) smoothing) - each);
    float factor = (float) inverse;
    for (int i = 0; i < n; i++) {
      e[i] = e[i] * factor - each;
    }
    e[label] = target;
    float outer = upstream * scale;
    for (int i = 0; i < n; i++) {
      e[i] *= outer;
    }
    if (cap != 0) {
      for (int i = 0; i < n; i++) {
        float ratio = z[i] / cap;
        e[i] *= 1 - ratio * ratio;
      }
    }
    System.arraycopy(e, 0, z, 0, n);
  }
}
