package dev.gatun.cpu;

import dev.gatun.op.OptimizerOps.Adafactor;
import dev.gatun.op.OptimizerOps.SecondMoment;
import dev.gatun.tensor.Tensor;
import java.util.Arrays;

/// Adafactor for one parameter. Means and norms are summed in double, in an order that depends on
/// shapes alone.
final class AdafactorUpdate {
  private static final int PARAMETER = 0;
  private static final int GRADIENT = 1;

  private final Loops loops;

  AdafactorUpdate(Loops loops) {
    this.loops = loops;
  }

  /// Turns gradients of row `row`, from column `from` on, into updates before clipping.
  private interface Direction {
    void apply(float[] g, long row, long from, int count);
  }

  void run(MomentUpdates.Target target, SecondMoment state, Adafactor step) {
    Rows gradients = new Rows(matrix(target.gradient()));
    float clip = CpuOptimizerOps.coefficient(target.clip());
    Direction direction =
        switch (state) {
          case SecondMoment.Factored(Tensor rows, Tensor columns) ->
              factored(gradients, Floats.of(rows), Floats.of(columns), clip, step);
          case SecondMoment.Whole(Tensor values) -> whole(gradients, Floats.of(values), clip, step);
        };
    move(target, gradients, direction, clip, step);
  }

  /// A vector is one row.
  private static Tensor matrix(Tensor tensor) {
    return tensor.shape().rank() < 2
        ? tensor.reshape(1, tensor.count())
        : tensor.reshape(tensor.rows(), tensor.cols());
  }

  private Direction whole(Rows gradients, Floats state, float clip, Adafactor step) {
    float decay = (float) step.decay();
    float rate = (float) (1 - step.decay());
    float epsilon = (float) step.epsilon();
    loops.overRanges(
        gradients.cols(),
        (workspace, from, count) -> {
          float[] g = read(gradients, 0, from, count, clip, workspace);
          for (int i = 0; i < count; i++) {
            state.set(from + i, state.at(from + i) * decay + rate * (g[i] * g[i] + epsilon));
          }
        });
    return (g, _, from, count) -> {
      for (int i = 0; i < count; i++) {
        g[i] /= (float) Math.sqrt(state.at(from + i));
      }
    };
  }

  private Direction factored(
      Rows gradients, Floats rows, Floats columns, float clip, Adafactor step) {
    rowMeans(gradients, rows, clip, step);
    columnMeans(gradients, columns, clip, step);
    double sum = 0;
    for (long row = 0; row < gradients.rows(); row++) {
      sum += rows.at(row);
    }
    float mean = (float) (sum / gradients.rows());
    return (g, row, from, count) -> {
      float rowFactor = 1 / (float) Math.sqrt(rows.at(row) / mean);
      for (int i = 0; i < count; i++) {
        g[i] *= rowFactor * (1 / (float) Math.sqrt(columns.at(from + i)));
      }
    };
  }

  private void rowMeans(Rows gradients, Floats state, float clip, Adafactor step) {
    int cols = Math.toIntExact(gradients.cols());
    loops.overRows(
        gradients.rows(),
        cols,
        (workspace, row) -> {
          float[] g = read(gradients, row, 0, cols, clip, workspace);
          state.set(row, averaged(state.at(row), squares(g, cols), cols, step));
        });
  }

  private void columnMeans(Rows gradients, Floats state, float clip, Adafactor step) {
    loops.overColumnBlocks(
        gradients.cols(),
        gradients.rows(),
        (workspace, from, count) -> {
          double[] sums = new double[count];
          for (long row = 0; row < gradients.rows(); row++) {
            float[] g = read(gradients, row, from, count, clip, workspace);
            for (int i = 0; i < count; i++) {
              sums[i] += (double) g[i] * g[i];
            }
          }
          for (int i = 0; i < count; i++) {
            state.set(from + i, averaged(state.at(from + i), sums[i], gradients.rows(), step));
          }
        });
  }

  private static float averaged(float old, double squares, long count, Adafactor step) {
    double mean = squares / count + step.epsilon();
    return (float) (old * step.decay() + (1 - step.decay()) * mean);
  }

  private static double squares(float[] values, int count) {
    double sum = 0;
    for (int i = 0; i < count; i++) {
      sum += (double) values[i] * values[i];
    }
    return sum;
  }

  private void move(
      MomentUpdates.Target target,
      Rows gradients,
      Direction direction,
      float clip,
      Adafactor step) {
    Rows parameters = new Rows(matrix(target.parameter()));
    Tensor computeCopy = target.computeCopy();
    Rows copy = computeCopy == null ? null : new Rows(matrix(computeCopy));
    int cols = Math.toIntExact(gradients.cols());
    double[] norms = new double[Math.toIntExact(gradients.rows())];
    loops.overRows(
        gradients.rows(),
        cols,
        (workspace, row) -> {
          float[] u = read(gradients, row, 0, cols, clip, workspace);
          direction.apply(u, row, 0, cols);
          norms[Math.toIntExact(row)] = squares(u, cols);
        });
    double rms = Math.sqrt(Arrays.stream(norms).sum() / ((double) gradients.rows() * cols));
    float size = (float) (step.learningRate() / Math.max(1, rms / step.threshold()));
    float decay = (float) (1 - step.learningRate() * step.weightDecay());
    loops.overRows(
        gradients.rows(),
        cols,
        (workspace, row) -> {
          float[] u = read(gradients, row, 0, cols, clip, workspace);
          direction.apply(u, row, 0, cols);
          float[] p = workspace.floats(PARAMETER, cols);
          parameters.read(row, 0, cols, p, 0);
          for (int i = 0; i < cols; i++) {
            p[i] = p[i] * decay - size * u[i];
          }
          parameters.write(row, 0, cols, p, 0);
          if (copy != null) {
            copy.write(row, 0, cols, p, 0);
          }
        });
  }

  private static float[] read(
      Rows gradients, long row, long from, int count, float clip, Workspace workspace) {
    float[] g = workspace.floats(GRADIENT, count);
    gradients.read(row, from, count, g, 0);
    for (int i = 0; i < count; i++) {
      g[i] *= clip;
    }
    return g;
  }
}
