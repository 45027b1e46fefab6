package dev.gatun.cpu;

import dev.gatun.cpu.kernel.Kernels;
import dev.gatun.op.DoraOps;
import dev.gatun.op.Projection;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// Weight-decomposed updates. Needs no scratch.
final class CpuDoraOps implements DoraOps {
  private final Loops loops;
  private final Kernels kernels;

  CpuDoraOps(Loops loops, Kernels kernels) {
    this.loops = loops;
    this.kernels = kernels;
  }

  @Override
  public void inverseNorms(
      Tensor inverse, Weight weight, Projection.Lora lora, TensorArena scratch) {
    RowSource base = RowSource.of(weight);
    Floats result = Floats.of(inverse);
    float[] a = lora.a().toFloats();
    Rows b = new Rows(lora.b());
    int rank = lora.rank();
    int in = Math.toIntExact(weight.in());
    loops.overRows(
        weight.out(),
        (rank + 1L) * in,
        (workspace, row) -> {
          float[] values = workspace.floats(0, in);
          float[] factors = workspace.floats(1, rank);
          base.read(row, 0, in, values, 0);
          b.read(row, 0, rank, factors, 0);
          for (int r = 0; r < rank; r++) {
            float factor = lora.scale() * factors[r];
            for (int i = 0; i < in; i++) {
              values[i] += factor * a[r * in + i];
            }
          }
          double squares = kernels.sumOfSquares(values, 0, in);
          result.set(row, squares == 0 ? 0 : (float) (1 / Math.sqrt(squares)));
        });
  }

  @Override
  public void scale(
      Tensor y,
      @Nullable Tensor residual,
      @Nullable Tensor bias,
      Tensor z,
      Tensor magnitude,
      Tensor inverse) {
    Rows target = new Rows(y);
    Rows source = new Rows(z);
    Rows past = residual == null ? null : new Rows(residual);
    float[] added = CpuMatmulOps.values(bias);
    float[] factors = magnitude.toFloats();
    float[] inverses = inverse.toFloats();
    int n = factors.length;
    for (int o = 0; o < n; o++) {
      factors[o] *= inverses[o];
    }
    loops.overRows(
        z.rows(),
        n,
        (workspace, row) -> {
          float[] values = workspace.floats(0, n);
          float[] sum = workspace.floats(1, n);
          source.read(row, 0, n, values, 0);
          for (int o = 0; o < n; o++) {
            sum[o] = values[o] * factors[o] + (added == null ? 0 : added[o]);
          }
          if (past != null) {
            past.read(row, 0, n, values, 0);
            for (int o = 0; o < n; o++) {
              sum[o] += values[o];
            }
          }
          target.write(row, 0, n, sum, 0);
        });
  }

  @Override
  public void magnitudeGradient(
      Tensor dmagnitude, Tensor dy, Tensor z, Tensor inverse, TensorArena scratch) {
    Floats sums = Floats.of(dmagnitude);
    Floats inverses = Floats.of(inverse);
    Rows upstream = new Rows(dy);
    Rows source = new Rows(z);
    loops.overColumnBlocks(
        source.cols(),
        2 * source.rows(),
        (workspace, from, count) -> {
          double[] total = new double[count];
          float[] slope = workspace.floats(0, count);
          float[] values = workspace.floats(1, count);
          for (long row = 0; row < source.rows(); row++) {
            upstream.read(row, from, count, slope, 0);
            source.read(row, from, count, values, 0);
            for (int j = 0; j < count; j++) {
              total[j] += (double) slope[j] * values[j];
            }
          }
          for (int j = 0; j < count; j++) {
            long o = from + j;
            sums.set(o, (float) (sums.at(o) + inverses.at(o) * total[j]));
          }
        });
  }

  @Override
  public long scratchBytes(Weight weight) {
    return 0;
  }

  @Override
  public long gradientScratchBytes(long out) {
    return 0;
  }
}
