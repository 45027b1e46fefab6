package dev.gatun.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gatun.Tolerances;
import org.junit.jupiter.api.Test;

/// Values that bitsandbytes prints for its maps, and the search in them.
class DynamicMapTest {
  @Test
  void signedMap() {
    float[] map = DynamicMap.signed();

    assertThat(map).hasSize(256).isSorted();
    assertClose(map, 0, -0.992968738);
    assertClose(map, 126, -5.5e-07);
    assertClose(map, 127, 0);
    assertClose(map, 128, 5.5e-07);
    assertClose(map, 129, 3.25e-06);
    assertClose(map, 253, 0.97890627);
    assertClose(map, 254, 0.99296874);
    assertClose(map, 255, 1);
  }

  @Test
  void unsignedMap() {
    float[] map = DynamicMap.unsigned();

    assertThat(map).hasSize(256).isSorted();
    assertClose(map, 0, 0);
    assertClose(map, 1, 3.25e-07);
    assertClose(map, 2, 7.75e-07);
    assertClose(map, 3, 2.125e-06);
    assertClose(map, 253, 0.98945308);
    assertClose(map, 254, 0.99648438);
    assertClose(map, 255, 1);
  }

  private static void assertClose(float[] map, int index, double expected) {
    assertThat((double) map[index])
        .as("entry %d", index)
        .isCloseTo(expected, within(Math.abs(expected) * Tolerances.PRINTED_FLOAT));
  }

  @Test
  void nearestIsTheFirstOfTheNearest() {
    float[] map = DynamicMap.signed();
    for (float value = -1.1f; value < 1.1f; value += 0.00037f) {
      int best = 0;
      for (int i = 1; i < map.length; i++) {
        if (Math.abs(map[i] - value) < Math.abs(map[best] - value)) {
          best = i;
        }
      }
      assertThat(DynamicMap.nearest(map, value)).as("%s", value).isEqualTo(best);
    }
  }

  @Test
  void tiesGoDown() {
    assertThat(DynamicMap.nearest(new float[] {0, 1, 2}, 0.5f)).isZero();
    assertThat(DynamicMap.nearest(new float[] {0, 1, 2}, 1.5f)).isEqualTo(1);
  }
}
