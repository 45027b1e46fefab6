package dev.gatun.op;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.stream.DoubleStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Parameter updates on any backend, over several steps.
public abstract class OptimizerOpsContract extends OpContract {
  private static final int STEPS = 4;

  @ParameterizedTest
  @CsvSource({"1, 0, 0", "65, 0.1, 0", "4097, 0, 0.5", "40000, 0.01, 1"})
  void adamW(int count, double decay, float maxNorm) {
    double[] start = values(count, 1);
    double[][] gradients = gradients(count);
    Tensor parameter = f32(start, count);
    Tensor m = f32(new double[count], count);
    Tensor v = f32(new double[count], count);
    Tensor copy = spoiled(activationType(), count);
    for (int step = 1; step <= STEPS; step++) {
      Tensor gradient = f32(gradients[step - 1], count);
      backend()
          .optimizer()
          .adamW(
              parameter,
              gradient,
              m,
              v,
              copy,
              clip(gradient, maxNorm),
              new OptimizerOps.AdamW(1e-2, 0.9, 0.999, 1e-8, decay, step));
    }

    assertClose("parameter", parameter, p -> adamW(p, start, gradients, decay, maxNorm)[0]);
    assertClose("m", m, p -> adamW(p, start, gradients, decay, maxNorm)[1]);
    assertClose("v", v, p -> adamW(p, start, gradients, decay, maxNorm)[2]);
    Tensor rounded = output(count);
    backend().tensor().copy(rounded, parameter);
    assertSame("compute copy", copy, rounded);
  }

  private double[][] gradients(int count) {
    double[][] gradients = new double[STEPS][];
    for (int i = 0; i < STEPS; i++) {
      gradients[i] = values(count, 1);
    }
    return gradients;
  }

  private OptimizerOps.@Nullable Clip clip(Tensor gradient, float maxNorm) {
    return maxNorm == 0 ? null : new OptimizerOps.Clip(norm(List.of(gradient)), maxNorm);
  }

  private Tensor norm(List<Tensor> gradients) {
    Tensor norm = spoiled(DType.F32, 1);
    long count = gradients.stream().mapToLong(Tensor::count).sum();
    try (TensorArena scratch =
        scratch(backend().optimizer().scratchBytes(count, gradients.size()))) {
      backend().optimizer().globalNorm(norm, gradients, scratch);
    }
    return norm;
  }

  private static double coefficient(Precision p, double[] gradient, float maxNorm) {
    return maxNorm == 0 ? 1 : Math.min(1, p.op(maxNorm / (norm(gradient) + 1e-6)));
  }

  private static double norm(double[] gradient) {
    double sum = 0;
    for (double g : gradient) {
      sum += g * g;
    }
    return Math.sqrt(sum);
  }

  private static double[][] adamW(
      Precision p, double[] start, double[][] gradients, double decay, float maxNorm) {
    double[] w = start.clone();
    double[] m = new double[w.length];
    double[] v = new double[w.length];
    for (int t = 1; t <= STEPS; t++) {
      double clip = coefficient(p, gradients[t - 1], maxNorm);
      for (int i = 0; i < w.length; i++) {
        double g = p.op(gradients[t - 1][i] * clip);
        m[i] = p.op(p.op(0.9 * m[i]) + p.op(0.1 * g));
        v[i] = p.op(p.op(0.999 * v[i]) + p.op(0.001 * p.op(g * g)));
        double root = p.op(p.op(Math.sqrt(v[i])) / Math.sqrt(1 - Math.pow(0.999, t)));
        double step = p.op(1e-2 / (1 - Math.pow(0.9, t)) * m[i] / p.op(root + 1e-8));
        w[i] = p.op(p.op(w[i] * (1 - 1e-2 * decay)) - step);
      }
    }
    return new double[][] {w, m, v};
  }

  @ParameterizedTest
  @CsvSource({"0, 0, 0", "0.9, 0.1, 0.7"})
  void sgd(double momentum, double decay, float maxNorm) {
    int count = 3000;
    double[] start = values(count, 1);
    double[][] gradients = gradients(count);
    Tensor parameter = f32(start, count);
    Tensor buffer = momentum == 0 ? null : spoiled(DType.F32, count);
    for (int step = 0; step < STEPS; step++) {
      Tensor gradient = f32(gradients[step], count);
      backend()
          .optimizer()
          .sgd(
              parameter,
              gradient,
              buffer,
              null,
              clip(gradient, maxNorm),
              new OptimizerOps.Sgd(0.05, momentum, decay, step == 0));
    }

    assertClose(
        "parameter",
        parameter,
        p -> {
          double[] w = start.clone();
          double[] b = new double[count];
          for (int t = 0; t < STEPS; t++) {
            double clip = coefficient(p, gradients[t], maxNorm);
            for (int i = 0; i < count; i++) {
              double g = p.op(p.op(gradients[t][i] * clip) + p.op(decay * w[i]));
              b[i] = t == 0 ? g : p.op(p.op(momentum * b[i]) + g);
              w[i] = p.op(w[i] - p.op(0.05 * b[i]));
            }
          }
          return w;
        });
  }

  @Test
  void globalNormSpansTensors() {
    double[] first = values(70_001, 1);
    double[] second = values(3, 100);
    double[] all = DoubleStream.concat(Arrays.stream(first), Arrays.stream(second)).toArray();

    Tensor norm = norm(List.of(f32(first, 70_001), f32(second, 3)));

    assertClose("norm", norm, p -> new double[] {p.op(norm(all))});
  }

  @ParameterizedTest
  @ValueSource(doubles = {Double.NaN, Double.POSITIVE_INFINITY})
  void aNonFiniteGradientGivesANonFiniteNorm(double bad) {
    double[] gradient = values(40_000, 1);
    gradient[39_999] = bad;

    assertThat(download(norm(List.of(f32(gradient, 40_000))))[0]).isNotFinite();
  }

  @Test
  void aNormOfNothingIsZero() {
    assertThat(download(norm(List.of(arena().allocate(DType.F32, Shape.of(0)))))[0]).isZero();
  }
}
