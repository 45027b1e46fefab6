package dev.gatun.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gatun.Tolerances;
import dev.gatun.cpu.kernel.Kernels;
import dev.gatun.cpu.kernel.PlainKernels;
import dev.gatun.cpu.simd.SimdKernels;
import dev.gatun.cpu.simd.SimdSupport;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// The inner loops at their edges: ranges of the exponential, tails, NaN.
class KernelsTest {
  static List<Kernels> kernels() {
    List<Kernels> all = new ArrayList<>(List.of(new PlainKernels()));
    if (SimdSupport.isAvailable()) {
      all.add(new SimdKernels());
    }
    return all;
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void theExponentialIsRightToTwoUlp(Kernels kernels) {
    int count = 20_011;
    float[] x = new float[count];
    for (int i = 0; i < count; i++) {
      x[i] = -87f * i / count;
    }
    float[] e = x.clone();
    double sum = kernels.expSum(e, 0, count, 0);

    double expectedSum = 0;
    for (int i = 0; i < count; i++) {
      double expected = Math.exp(x[i]);
      expectedSum += expected;
      assertThat((double) e[i])
          .as("exp(%s)", x[i])
          .isCloseTo(expected, within(Tolerances.EXPONENTIAL_ULPS * Math.ulp((float) expected)));
    }
    assertThat(sum).isCloseTo(expectedSum, within(expectedSum * Tolerances.EXPONENTIAL_SUM));
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void farBelowTheMaximumIsZero(Kernels kernels) {
    float[] x = {-88, -1000, Float.NEGATIVE_INFINITY, 0};

    assertThat(kernels.expSum(x, 0, 4, 0)).isEqualTo(1);
    assertThat(x).containsExactly(0, 0, 0, 1);
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void nanIsNeverHidden(Kernels kernels) {
    for (int at : new int[] {0, 15, 16, 36}) {
      float[] x = new float[37];
      x[at] = Float.NaN;
      assertThat(kernels.max(x, 0, 37)).as("max").isNaN();
      assertThat(kernels.expSum(x.clone(), 0, 37, 0)).as("sum of exponentials").isNaN();
      assertThat(kernels.dot(x, 0, x, 0, 37)).as("dot").isNaN();
      float[] h = new float[37];
      kernels.silu(h, x, new float[37], 37);
      assertThat(h[at]).as("silu").isNaN();
    }
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void tailsAreSummedAndNeighboursLeftAlone(Kernels kernels) {
    for (int count = 0; count < 70; count++) {
      float[] x = new float[80];
      Arrays.fill(x, 2);
      assertThat(kernels.dot(x, 3, x, 5, count)).isEqualTo(4f * count);
      assertThat(kernels.sumOfSquares(x, 1, count)).isEqualTo(4.0 * count);
      assertThat(kernels.expSum(x, 4, count, 2)).isEqualTo(count);
      for (int i = 0; i < 80; i++) {
        assertThat(x[i]).isEqualTo(i >= 4 && i < 4 + count ? 1 : 2);
      }
    }
  }
}
