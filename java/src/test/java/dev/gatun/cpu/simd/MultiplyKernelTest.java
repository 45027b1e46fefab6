package dev.gatun.cpu.simd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.gatun.cpu.kernel.Kernels;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Both widths of the block product, whatever this machine prefers, on small integers, whose
/// products and sums are exact.
class MultiplyKernelTest {
  private final Random random = new Random(3);

  @BeforeEach
  void requireModule() {
    assumeTrue(
        ModuleLayer.boot().findModule("jdk.incubator.vector").isPresent(),
        "no module jdk.incubator.vector");
  }

  @ParameterizedTest
  @CsvSource({"8, 1, 1", "16, 16, 5", "8, 17, 3", "24, 32, 64", "8, 70, 7", "16, 96, 256"})
  void addsTheProduct(int rows, int cols, int depth) {
    int padded = Kernels.padded(cols, Kernels.PANEL);
    float[] a = integers(rows * depth);
    float[] b = integers(padded * depth);
    float[] start = integers(rows * padded);
    Kernels.Tile tile = new Kernels.Tile(rows, cols, depth, padded, depth);
    float[] wide = start.clone();
    float[] narrow = start.clone();
    MultiplyKernel512.multiply(wide, a, b, tile);
    MultiplyKernel256.multiply(narrow, a, b, tile);

    for (int i = 0; i < rows; i++) {
      for (int j = 0; j < cols; j++) {
        float expected = start[i * padded + j];
        for (int k = 0; k < depth; k++) {
          int panel = j / Kernels.PANEL * Kernels.PANEL * depth;
          expected += a[i * depth + k] * b[panel + k * Kernels.PANEL + j % Kernels.PANEL];
        }
        assertThat(wide[i * padded + j]).as("512 bits, %d, %d", i, j).isEqualTo(expected);
        assertThat(narrow[i * padded + j]).as("256 bits, %d, %d", i, j).isEqualTo(expected);
      }
    }
  }

  private float[] integers(int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = random.nextInt(17) - 8;
    }
    return values;
  }
}
