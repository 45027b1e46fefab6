package dev.gatun.op;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Weight-decomposed updates on any backend.
public abstract class DoraOpsContract extends OpContract {
  private static final float SCALE = 0.75f;

  @ParameterizedTest
  @CsvSource({"1, 1, 1", "7, 63, 3", "8, 64, 8", "33, 1030, 16", "9, 2050, 130"})
  void normsOfADenseWeight(int out, int in, int rank) {
    double[] w = values(out * in, 1);
    checkNorms(w, new Weight.Dense(activation(w, out, in)), rank);
  }

  @ParameterizedTest
  @CsvSource({"5, 64, 4, false", "16, 192, 8, true", "3, 65, 2, true"})
  void normsOfADecodedWeight(int out, int in, int rank, boolean nested) {
    Quantized quantized = quantized(values(out * in, 1), out, in, nested);
    checkNorms(quantized.values(), quantized.weight(), rank);
  }

  private void checkNorms(double[] w, Weight weight, int rank) {
    int out = Math.toIntExact(weight.out());
    int in = Math.toIntExact(weight.in());
    double[] a = values(rank * in, 0.5);
    double[] b = values(out * rank, 0.5);
    Tensor inverse = spoiled(DType.F32, out);
    Projection.Lora lora =
        new Projection.Lora(activation(a, rank, in), activation(b, out, rank), SCALE, dropout());

    try (TensorArena scratch = scratch(backend().dora().scratchBytes(weight))) {
      backend().dora().inverseNorms(inverse, weight, lora, scratch);
    }

    assertClose("inverse norms", inverse, p -> inverseNorms(p, w, a, b, out, in));
  }

  private static double[] inverseNorms(
      Precision p, double[] w, double[] a, double[] b, int out, int in) {
    int rank = b.length / out;
    double[] inverse = new double[out];
    for (int o = 0; o < out; o++) {
      double squares = 0;
      for (int i = 0; i < in; i++) {
        double product = p.dot(b, o * rank, 1, a, i, in, rank);
        double v = p.op(w[o * in + i] + p.op(SCALE * product));
        squares = p.op(squares + p.op(v * v));
      }
      inverse[o] = p.op(1 / p.op(Math.sqrt(squares)));
    }
    return inverse;
  }

  @Test
  void aRowOfZerosHasNoInverse() {
    double[] w = values(3 * 10, 1);
    Arrays.fill(w, 10, 20, 0);
    Tensor inverse = spoiled(DType.F32, 3);
    Projection.Lora lora =
        new Projection.Lora(
            activation(values(20, 1), 2, 10), activation(new double[6], 3, 2), SCALE, null);
    Weight weight = new Weight.Dense(activation(w, 3, 10));

    try (TensorArena scratch = scratch(backend().dora().scratchBytes(weight))) {
      backend().dora().inverseNorms(inverse, weight, lora, scratch);
    }

    double[] result = download(inverse);
    assertThat(result[1]).isZero();
    assertThat(result[0]).isPositive();
    assertThat(result[2]).isPositive();
  }

  @ParameterizedTest
  @CsvSource({"1, 1", "5, 63", "64, 130", "3, 2048"})
  void scaling(int rows, int n) {
    double[] z = values(rows * n, 1);
    double[] residual = values(rows * n, 1);
    double[] bias = values(n, 1);
    double[] magnitude = values(n, 2);
    double[] inverse = values(n, 0.5);
    Tensor m = f32(magnitude, n);
    Tensor r = f32(inverse, n);
    Tensor alone = output(rows, n);
    Tensor all = strided(residual, rows, n);

    backend().dora().scale(alone, null, null, strided(z, rows, n), m, r);
    backend().dora().scale(all, all, activation(bias, n), activation(z, rows, n), m, r);
    Tensor inPlace = strided(z, rows, n);
    backend().dora().scale(inPlace, null, f32(bias, n), inPlace, m, r);

    assertClose("alone", alone, p -> scaled(p, z, magnitude, inverse, new double[n]));
    assertClose(
        "onto the residual",
        all,
        p -> Oracle.add(p, scaled(p, z, magnitude, inverse, bias), residual));
    assertClose("in place", inPlace, p -> scaled(p, z, magnitude, inverse, bias));
  }

  private static double[] scaled(
      Precision p, double[] z, double[] magnitude, double[] inverse, double[] bias) {
    int n = bias.length;
    double[] y = new double[z.length];
    for (int i = 0; i < z.length; i++) {
      int o = i % n;
      y[i] = p.op(p.op(p.op(magnitude[o] * inverse[o]) * z[i]) + bias[o]);
    }
    return y;
  }

  @ParameterizedTest
  @CsvSource({"1, 1", "7, 129", "300, 40", "65, 2049"})
  void gradientOfTheMagnitudes(int rows, int n) {
    double[] dy = values(rows * n, 1);
    double[] z = values(rows * n, 1);
    double[] inverse = values(n, 0.5);
    double[] start = values(n, 1);
    Tensor gradient = f32(start, n);

    try (TensorArena scratch = scratch(backend().dora().gradientScratchBytes(n))) {
      backend()
          .dora()
          .magnitudeGradient(
              gradient, strided(dy, rows, n), strided(z, rows, n), f32(inverse, n), scratch);
    }

    assertClose(
        "dmagnitude",
        gradient,
        p -> {
          double[] sums = new double[n];
          for (int o = 0; o < n; o++) {
            double sum = p.op(inverse[o] * p.dot(dy, o, n, z, o, n, rows));
            sums[o] = p.op(start[o] + sum);
          }
          return sums;
        });
  }
}
