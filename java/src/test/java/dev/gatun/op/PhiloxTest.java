package dev.gatun.op;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/// Known answers of Random123's own test file for philox4x32-10.
class PhiloxTest {
  @Test
  void zeroCounterAndKey() {
    assertThat(block(0, 0, 0, 0)).containsExactly(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8);
  }

  @Test
  void allOnes() {
    assertThat(block(-1, -1, -1, -1))
        .containsExactly(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd);
  }

  @Test
  void digitsOfPi() {
    assertThat(block(0x299f31d0a4093822L, 0x03707344, 0x13198a2e, 0x85a308d3243f6a88L))
        .containsExactly(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1);
  }

  @Test
  void aThirdIsDroppedWithProbabilityAThird() {
    int[] words = new int[4];
    int kept = 0;
    for (int i = 0; i < 25_000; i++) {
      Philox.block(words, 7, 1, 2, i);
      for (int word : words) {
        kept += Philox.survives(word, Philox.threshold(1f / 3)) ? 1 : 0;
      }
    }

    // Four standard deviations of a binomial of 100,000.
    assertThat(kept).isBetween(66_667 - 600, 66_667 + 600);
  }

  @Test
  void symmetricValuesStayInRange() {
    assertThat(Philox.symmetric(0)).isEqualTo(-1f);
    assertThat(Philox.symmetric(-1)).isLessThan(1f);
    assertThat(Philox.symmetric(0x80000000)).isZero();
  }

  private static int[] block(long seed, long step, int stream, long block) {
    int[] words = new int[4];
    Philox.block(words, seed, step, stream, block);
    return words;
  }
}
