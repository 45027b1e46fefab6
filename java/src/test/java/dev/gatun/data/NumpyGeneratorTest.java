package dev.gatun.data;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/// Expected values are those of `numpy.random.default_rng(seed).permutation(n)`.
class NumpyGeneratorTest {
  @Test
  void permutationsAreNumPys() {
    assertThat(NumpyGenerator.permutation(42, 10)).containsExactly(5, 6, 0, 7, 3, 2, 4, 9, 1, 8);
    assertThat(NumpyGenerator.permutation(0, 7)).containsExactly(2, 4, 3, 6, 5, 0, 1);
    assertThat(NumpyGenerator.permutation((1L << 40) + 5, 20))
        .containsExactly(12, 3, 7, 13, 18, 2, 9, 16, 17, 10, 1, 5, 6, 0, 19, 8, 14, 4, 15, 11);
  }

  @Test
  void aLongPermutationHasNumPysWeightedSum() {
    int[] order = NumpyGenerator.permutation(1234, 1000);
    long sum = 0;
    for (int i = 0; i < order.length; i++) {
      sum += (long) i * order[i];
    }
    assertThat(sum).isEqualTo(248398737L);
  }
}
