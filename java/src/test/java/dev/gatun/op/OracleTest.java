package dev.gatun.op;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gatun.Tolerances;
import java.util.Random;
import java.util.function.ToDoubleFunction;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// The oracles' gradients against central differences of their own forward passes.
class OracleTest {
  private final Random random = new Random(5);

  @ParameterizedTest
  @CsvSource({"0, 0", "2, 0", "0, 1.5", "3, 2"})
  void attention(int window, float softcap) {
    AttentionOracle oracle =
        new AttentionOracle(4, 2, 3, new AttentionOps.Config(0.7f, window, softcap));
    double[] q = values(3 * 4 * 3);
    double[] k = values(5 * 2 * 3);
    double[] v = values(5 * 2 * 3);
    double[] dout = values(q.length);
    AttentionOracle.Backward gradients = oracle.backward(Precision.EXACT, dout, q, k, v);

    check(q, gradients.dq(), x -> inner(dout, oracle.forward(Precision.EXACT, x, k, v).out()));
    check(k, gradients.dk(), x -> inner(dout, oracle.forward(Precision.EXACT, q, x, v).out()));
    check(v, gradients.dv(), x -> inner(dout, oracle.forward(Precision.EXACT, q, k, x).out()));
  }

  @ParameterizedTest
  @CsvSource({"1, 0, 0", "0.5, 0, 0.1", "2, 3, 0", "1.5, 2, 0.2"})
  void loss(float scale, float softcap, float smoothing) {
    LossOps.Config config = new LossOps.Config(scale, softcap, smoothing, 4);
    double[] hidden = values(3 * 4);
    double[] head = values(7 * 4);
    double[] bias = values(7);
    int[] labels = {0, 6, 3};
    LossOracle exact = LossOracle.of(Precision.EXACT, hidden, head, bias, labels, config, 0.3);

    check(hidden, exact.dhidden(), x -> 0.3 * sum(loss(x, head, bias, labels, config)));
    check(head, exact.dhead(), x -> 0.3 * sum(loss(hidden, x, bias, labels, config)));
    check(bias, exact.dbias(), x -> 0.3 * sum(loss(hidden, head, x, labels, config)));
  }

  private static double[] loss(
      double[] hidden, double[] head, double[] bias, int[] labels, LossOps.Config config) {
    return LossOracle.of(Precision.EXACT, hidden, head, bias, labels, config, 1).tokenLoss();
  }

  @Test
  void rmsNorm() {
    double[] x = values(2 * 5);
    double[] w = values(5);
    double[] dy = values(x.length);
    double[] rstd = Oracle.rstd(Precision.EXACT, x, 5, 1e-3);

    check(
        x,
        Oracle.rmsNormInputGradient(Precision.EXACT, dy, x, w, rstd, 1, 5),
        z -> inner(dy, norm(z, w)));
    check(
        w,
        Oracle.rmsNormWeightGradient(Precision.EXACT, dy, x, rstd, 5),
        z -> inner(dy, norm(x, z)));
  }

  private static double[] norm(double[] x, double[] w) {
    return Oracle.rmsNorm(Precision.EXACT, x, w, Oracle.rstd(Precision.EXACT, x, 5, 1e-3), 1, 5);
  }

  private double[] values(int count) {
    return random.doubles(count, -1, 1).toArray();
  }

  private static double inner(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }

  private static double sum(double[] a) {
    double sum = 0;
    for (double value : a) {
      sum += value;
    }
    return sum;
  }

  private static void check(double[] x, double[] gradient, ToDoubleFunction<double[]> f) {
    double h = 1e-5;
    for (int i = 0; i < x.length; i++) {
      double kept = x[i];
      x[i] = kept + h;
      double up = f.applyAsDouble(x);
      x[i] = kept - h;
      double down = f.applyAsDouble(x);
      x[i] = kept;
      assertThat(gradient[i])
          .as("gradient %d", i)
          .isCloseTo((up - down) / (2 * h), within(Tolerances.FINITE_DIFFERENCE));
    }
  }
}
