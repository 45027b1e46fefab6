package dev.gatun.quant;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import org.junit.jupiter.api.Test;

class CascadeSumTest {
  /// Scales of the kit's `nf4/uniform_b64_dq` and the offset that bitsandbytes stored for them; any
  /// simpler order of additions gives another last bit.
  private static final float[] SCALES = {
    0.99803317f, 0.9540849f, 0.99968374f, 0.9775951f, 0.98347306f, 0.9811636f,
    0.9965148f, 0.97328675f, 0.9750831f, 0.990224f, 0.98945296f, 0.9652873f,
    0.9753338f, 0.9862782f, 0.9984031f, 0.9895425f, 0.99289286f, 0.9765781f,
    0.98521185f, 0.9945682f, 0.9929806f, 0.99935853f, 0.98140657f, 0.9951631f,
    0.98357487f, 0.9855175f, 0.9854342f, 0.97840226f, 0.99898183f, 0.98473275f,
    0.98883593f, 0.9415755f, 0.9880034f
  };

  private static final float OFFSET = 0.98444414f;

  @Test
  void agreesWithPyTorchToTheBit() {
    float naive = 0;
    double exact = 0;
    for (float scale : SCALES) {
      naive += scale;
      exact += scale;
    }

    assertThat(naive / SCALES.length).isNotEqualTo(OFFSET);
    assertThat((float) (exact / SCALES.length)).isNotEqualTo(OFFSET);
    assertThat(Nf4Codec.offset(SCALES)).isEqualTo(OFFSET);
  }

  @Test
  void addsEveryValueOnce() {
    for (int count : new int[] {0, 1, 7, 8, 31, 32, 33, 511, 512, 513, 16 * 32 * 16 + 5, 70_001}) {
      float[] ones = new float[count];
      Arrays.fill(ones, 1);

      assertThat(CascadeSum.of(ones)).as("%d ones", count).isEqualTo(count);
    }
  }
}
