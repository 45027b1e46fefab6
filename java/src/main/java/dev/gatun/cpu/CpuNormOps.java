package dev.gatun.cpu;

import dev.gatun.cpu.kernel.Kernels;
import dev.gatun.op.NormOps;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// RMS normalisation. Needs no scratch: the weight's gradient is summed by column blocks.
final class CpuNormOps implements NormOps {
  private final Loops loops;
  private final Kernels kernels;

  CpuNormOps(Loops loops, Kernels kernels) {
    this.loops = loops;
    this.kernels = kernels;
  }

  @Override
  public void forward(
      Tensor y, @Nullable Tensor rstd, Tensor x, Tensor weight, float epsilon, float offset) {
    Rows source = Rows.ofVectors(x);
    Rows target = Rows.ofVectors(y);
    Floats saved = rstd == null ? null : Floats.of(rstd);
    float[] factors = factors(weight, offset, source.cols());
    int n = factors.length;
    loops.overRows(
        source.rows(),
        n,
        (workspace, row) -> {
          float[] values = workspace.floats(0, n);
          source.read(row, 0, n, values, 0);
          double mean = kernels.sumOfSquares(values, 0, n) / n;
          float inverse = (float) (1 / Math.sqrt(mean + epsilon));
          if (saved != null) {
            saved.set(row, inverse);
          }
          float[] result = workspace.floats(1, n);
          for (int j = 0; j < n; j++) {
            result[j] = values[j] * inverse * factors[j];
          }
          target.write(row, 0, n, result, 0);
        });
  }

  private static float[] factors(Tensor weight, float offset, long cols) {
    float[] factors = weight.toFloats();
    if (factors.length != cols) {
      throw new IllegalArgumentException(
          "norm weight " + weight.shape() + " for vectors of " + cols);
    }
    for (int j = 0; j < factors.length; j++) {
      factors[j] += offset;
    }
    return factors;
  }

  @Override
  public void backward(
      Tensor dx,
      @Nullable Tensor dweight,
      Tensor dy,
      @Nullable Tensor residual,
      Tensor x,
      Tensor weight,
      Tensor rstd,
      float offset,
      TensorArena scratch) {
    Rows source = Rows.ofVectors(x);
    Rows upstream = Rows.ofVectors(dy);
    Floats inverse = Floats.of(rstd);
    // Before dx, which may replace dy.
    if (dweight != null) {
      addWeightGradient(Floats.of(dweight), upstream, source, inverse);
    }
    Rows target = Rows.ofVectors(dx);
    Rows past = residual == null ? null : Rows.ofVectors(residual);
    float[] factors = factors(weight, offset, source.cols());
    int n = factors.length;
    loops.overRows(
        source.rows(),
        2L * n,
        (workspace, row) -> {
          float[] values = workspace.floats(0, n);
          float[] slope = workspace.floats(1, n);
          source.read(row, 0, n, values, 0);
          upstream.read(row, 0, n, slope, 0);
          for (int j = 0; j < n; j++) {
            slope[j] *= factors[j];
          }
          float scale = inverse.at(row);
          // mean(g·x̂)·x̂ with x̂ = x·rstd.
          float along = kernels.dot(slope, 0, values, 0, n) * scale / n * scale;
          float[] result = workspace.floats(2, n);
          for (int j = 0; j < n; j++) {
            result[j] = (slope[j] - values[j] * along) * scale;
          }
          if (past != null) {
            past.read(row, 0, n, values, 0);
            for (int j = 0; j < n; j++) {
              result[j] += values[j];
            }
          }
          target.write(row, 0, n, result, 0);
        });
  }

  private void addWeightGradient(Floats dweight, Rows dy, Rows x, Floats rstd) {
    loops.overColumnBlocks(
        x.cols(),
        2 * x.rows(),
        (workspace, from, count) -> {
          double[] total = new double[count];
          float[] slope = workspace.floats(0, count);
          float[] values = workspace.floats(1, count);
          for (long row = 0; row < x.rows(); row++) {
            dy.read(row, from, count, slope, 0);
            x.read(row, from, count, values, 0);
            float scale = rstd.at(row);
            for (int j = 0; j < count; j++) {
              total[j] += slope[j] * (values[j] * scale);
            }
          }
          for (int j = 0; j < count; j++) {
            dweight.set(from + j, (float) (dweight.at(from + j) + total[j]));
          }
        });
  }

  @Override
  public long scratchBytes(long rows, long n) {
    return 0;
  }
}
