package dev.gatun.op;

import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// RMS normalisation on any backend.
public abstract class NormOpsContract extends OpContract {
  private static final float EPSILON = 1e-5f;

  @ParameterizedTest
  @CsvSource({"1, 1, 0", "3, 63, 1", "5, 64, 0", "130, 65, 1", "7, 2049, 0"})
  void forwardAndBackward(int rows, int n, float offset) {
    double[] x = values(rows * n, 1.5);
    double[] w = values(n, 1);
    double[] dy = values(rows * n, 1);
    double[] residual = values(rows * n, 1);
    Tensor y = output(rows, n);
    Tensor rstd = spoiled(DType.F32, rows);
    Tensor dx = output(rows, n);
    double[] start = new double[n];
    Arrays.fill(start, 2);
    Tensor dw = f32(start, n);
    Tensor input = strided(x, rows, n);
    Tensor weight = activation(w, n);

    backend().norm().forward(y, rstd, input, weight, EPSILON, offset);
    try (TensorArena scratch = scratch(backend().norm().scratchBytes(rows, n))) {
      backend()
          .norm()
          .backward(
              dx,
              dw,
              activation(dy, rows, n),
              activation(residual, rows, n),
              input,
              weight,
              rstd,
              offset,
              scratch);
    }

    assertClose("rstd", rstd, p -> Oracle.rstd(p, x, n, EPSILON));
    assertClose("y", y, p -> Oracle.rmsNorm(p, x, w, Oracle.rstd(p, x, n, EPSILON), offset, n));
    assertClose("dx", dx, p -> Oracle.add(p, inputGradient(p, dy, x, w, offset, n), residual));
    assertClose(
        "dweight",
        dw,
        p ->
            Oracle.add(
                p,
                start,
                Oracle.rmsNormWeightGradient(p, dy, x, Oracle.rstd(p, x, n, EPSILON), n)));
  }

  private static double[] inputGradient(
      Precision p, double[] dy, double[] x, double[] w, float offset, int n) {
    return Oracle.rmsNormInputGradient(p, dy, x, w, Oracle.rstd(p, x, n, EPSILON), offset, n);
  }

  @Test
  void headsOfAStridedProjectionInPlace() {
    int tokens = 9;
    int heads = 3;
    int n = 10;
    int vectors = tokens * heads;
    double[] x = values(tokens * heads * n, 1);
    double[] w = values(n, 1);
    double[] dy = values(x.length, 1);
    Tensor q = strided(x, tokens, heads * n).reshape(tokens, heads, n);
    Tensor kept = activation(x, tokens, heads, n);
    Tensor weight = activation(w, n);
    Tensor rstd = spoiled(DType.F32, vectors);

    backend().norm().forward(q, rstd, q, weight, EPSILON, 0);
    Tensor gradient = strided(dy, tokens, heads * n).reshape(tokens, heads, n);
    try (TensorArena scratch = scratch(backend().norm().scratchBytes(vectors, n))) {
      backend().norm().backward(gradient, null, gradient, null, kept, weight, rstd, 0, scratch);
    }

    assertClose("y", q, p -> Oracle.rmsNorm(p, x, w, Oracle.rstd(p, x, n, EPSILON), 0, n));
    assertClose("dx", gradient, p -> inputGradient(p, dy, x, w, 0, n));
  }

  @Test
  void theInputGradientMayReplaceTheResidual() {
    double[] x = values(4 * 65, 1);
    double[] w = values(65, 1);
    double[] dy = values(4 * 65, 1);
    double[] residual = values(4 * 65, 1);
    Tensor input = activation(x, 4, 65);
    Tensor weight = activation(w, 65);
    Tensor rstd = spoiled(DType.F32, 4);
    Tensor dx = activation(residual, 4, 65);

    backend().norm().forward(output(4, 65), rstd, input, weight, EPSILON, 1);
    try (TensorArena scratch = scratch(backend().norm().scratchBytes(4, 65))) {
      backend()
          .norm()
          .backward(dx, null, activation(dy, 4, 65), dx, input, weight, rstd, 1, scratch);
    }

    assertClose("dx", dx, p -> Oracle.add(p, inputGradient(p, dy, x, w, 1, 65), residual));
  }

  @Test
  void withoutABackwardPassNothingIsKept() {
    double[] x = values(3 * 8, 1);
    double[] w = values(8, 1);
    Tensor y = output(3, 8);

    backend().norm().forward(y, null, activation(x, 3, 8), activation(w, 8), EPSILON, 0);

    assertClose("y", y, p -> Oracle.rmsNorm(p, x, w, Oracle.rstd(p, x, 8, EPSILON), 0, 8));
  }
}
