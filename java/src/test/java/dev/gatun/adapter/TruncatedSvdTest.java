package dev.gatun.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.Objects;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Singular values against their definition, and against what PEFT makes of them.
class TruncatedSvdTest {
  /// What PEFT 0.21's `init_lora_weights: pissa` does to a linear layer whose weight is a formula.
  @Test
  void factorsAndResidualOfPissa() throws IOException {
    JsonNode peft = golden();
    int out = peft.path("out").asInt();
    int in = peft.path("in").asInt();
    int rank = peft.path("r").asInt();
    double scale = peft.path("lora_alpha").asDouble() / rank;
    float[] weight = new float[out * in];
    for (int i = 0; i < weight.length; i++) {
      weight[i] = (float) (i * 7919 % 1009 / 1009.0 - 0.5);
    }

    TruncatedSvd svd = TruncatedSvd.of(weight, in, rank, 3);

    for (int i = 0; i < weight.length; i++) {
      double product = 0;
      for (int r = 0; r < rank; r++) {
        product += svd.values()[r] * svd.left()[r][i / in] * svd.right()[r][i % in];
      }
      assertThat(product)
          .as("element %d", i)
          .isCloseTo(peft.path("product").get(i).asDouble(), within(2e-6));
    }
    for (int r = 0; r < rank; r++) {
      double root = Math.sqrt(svd.values()[r] / scale);
      assertThat(root).isCloseTo(peft.path("rows_of_a").get(r).asDouble(), within(3e-6));
      assertThat(root).isCloseTo(peft.path("columns_of_b").get(r).asDouble(), within(3e-6));
    }
  }

  private static JsonNode golden() throws IOException {
    try (InputStream stream = TruncatedSvdTest.class.getResourceAsStream("pissa.json")) {
      return JsonMapper.shared().readTree(Objects.requireNonNull(stream));
    }
  }

  @ParameterizedTest
  @CsvSource({"1, 1, 1", "5, 5, 5", "40, 3, 2", "3, 40, 8", "90, 150, 4", "300, 200, 16"})
  void leaveNothingLarger(int m, int n, int count) {
    float[] matrix = gaussian(m * n);
    TruncatedSvd svd = TruncatedSvd.of(matrix, n, count, 11);
    int found = Math.min(count, Math.min(m, n));
    assertThat(svd.values()).hasSize(found);
    double[] rest = requireTriplets(matrix, n, svd);
    double smallest = svd.values()[found - 1];
    assertThat(largest(rest, n)).isLessThanOrEqualTo(smallest * (1 + 1e-6));
  }

  @Test
  void ofARepeatedValueAndOfARankThatIsTooSmall() {
    float[] identity = new float[36];
    for (int i = 0; i < 6; i++) {
      identity[i * 7] = 2;
    }
    TruncatedSvd twos = TruncatedSvd.of(identity, 6, 4, 1);
    assertThat(twos.values()).containsExactly(new double[] {2, 2, 2, 2}, within(1e-12));
    requireTriplets(identity, 6, twos);

    float[] single = new float[30 * 20];
    for (int i = 0; i < single.length; i++) {
      single[i] = (i / 20 + 1) * (i % 20 - 7) * 0.125f;
    }
    TruncatedSvd one = TruncatedSvd.of(single, 20, 3, 1);
    assertThat(one.values()[1]).isLessThan(1e-9 * one.values()[0]);
    assertThat(largest(requireTriplets(single, 20, one), 20)).isLessThan(1e-9 * one.values()[0]);

    assertThat(TruncatedSvd.of(new float[12], 4, 2, 1).values()).containsExactly(0, 0);
  }

  @Test
  void theSameEveryTime() {
    float[] matrix = gaussian(60 * 70);
    TruncatedSvd first = TruncatedSvd.of(matrix, 70, 5, 2);
    TruncatedSvd second = TruncatedSvd.of(matrix, 70, 5, 2);
    assertThat(second.left()).isDeepEqualTo(first.left());
    assertThat(second.right()).isDeepEqualTo(first.right());
  }

  private static float[] gaussian(int count) {
    Random random = new Random(5);
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  /// Checks `A·v = σ·u` with orthonormal v; returns `A − Σ σ·u·vᵀ`.
  private static double[] requireTriplets(float[] matrix, int n, TruncatedSvd svd) {
    double[] rest = new double[matrix.length];
    Arrays.setAll(rest, i -> matrix[i]);
    double scale = Math.max(svd.values()[0], 1e-30);
    for (int r = 0; r < svd.values().length; r++) {
      double[] v = svd.right()[r];
      for (int other = 0; other <= r; other++) {
        double product = 0;
        for (int i = 0; i < n; i++) {
          product += v[i] * svd.right()[other][i];
        }
        assertThat(product).as("v%d·v%d", r, other).isCloseTo(other == r ? 1 : 0, within(1e-10));
      }
      for (int row = 0; row < matrix.length / n; row++) {
        double product = 0;
        for (int i = 0; i < n; i++) {
          product += matrix[row * n + i] * v[i];
        }
        assertThat(product / scale)
            .as("row %d of A·v%d", row, r)
            .isCloseTo(svd.values()[r] * svd.left()[r][row] / scale, within(1e-6));
        for (int i = 0; i < n; i++) {
          rest[row * n + i] -= svd.values()[r] * svd.left()[r][row] * v[i];
        }
      }
    }
    return rest;
  }

  /// The largest singular value by the power method.
  private static double largest(double[] matrix, int n) {
    double[] v = new double[n];
    Random random = new Random(9);
    Arrays.setAll(v, _ -> random.nextGaussian());
    double value = 0;
    for (int step = 0; step < 500; step++) {
      double norm = Math.sqrt(Arrays.stream(v).map(x -> x * x).sum());
      if (norm == 0) {
        return 0;
      }
      double[] w = new double[n];
      double squares = 0;
      for (int row = 0; row < matrix.length / n; row++) {
        double product = 0;
        for (int i = 0; i < n; i++) {
          product += matrix[row * n + i] * v[i] / norm;
        }
        squares += product * product;
        for (int i = 0; i < n; i++) {
          w[i] += product * matrix[row * n + i];
        }
      }
      value = Math.sqrt(squares);
      v = w;
    }
    return value;
  }
}
