package dev.gatun.generate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.FailureException;
import dev.gatun.InputException;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class SamplerTest {
  private static final float[] LOGITS = {-1f, 2f, 0f, 2f, Float.NEGATIVE_INFINITY, 1f};
  private static final int DRAWS = 20_000;

  @Test
  void greedyTakesTheLowestOfEqualMaxima() {
    assertThat(Sampler.greedy().next(LOGITS, 0, 0)).isEqualTo(1);
  }

  @Test
  void topKOfOneIsGreedyAtAnyTemperature() {
    assertThat(draws(new Sampler(5, 1, 1, 3))).containsOnly(1);
  }

  @Test
  void aTinyNucleusIsGreedy() {
    assertThat(draws(new Sampler(1, 0, 1e-9, 3))).containsOnly(1);
  }

  @Test
  void topKKeepsTheMostLikelyTokens() {
    assertThat(IntStream.of(draws(new Sampler(2, 3, 1, 3))).distinct().sorted())
        .containsExactly(1, 3, 5);
  }

  @Test
  void theNucleusHoldsTheFewestTokensThatReachTheSum() {
    // Probabilities of 1, 3, 5, 2, 0: 0.391, 0.391, 0.144, 0.053, 0.019.
    assertThat(IntStream.of(draws(new Sampler(1, 0, 0.78, 3))).distinct().sorted())
        .containsExactly(1, 3);
    assertThat(IntStream.of(draws(new Sampler(1, 0, 0.79, 3))).distinct().sorted())
        .containsExactly(1, 3, 5);
  }

  @Test
  void drawsFollowTheSoftmax() {
    double temperature = 1.5;
    int[] counts = new int[LOGITS.length];
    for (int id : draws(new Sampler(temperature, 0, 1, 11))) {
      counts[id]++;
    }
    double total = 0;
    for (float logit : LOGITS) {
      total += Math.exp(logit / temperature);
    }
    for (int id = 0; id < LOGITS.length; id++) {
      double p = Math.exp(LOGITS[id] / temperature) / total;
      // Five standard deviations of a binomial count.
      double bound = 5 * Math.sqrt(DRAWS * p * (1 - p));
      assertThat(Math.abs(counts[id] - DRAWS * p)).as("token %d", id).isLessThanOrEqualTo(bound);
    }
  }

  @Test
  void theSameSeedDrawsTheSameAndAnotherSeedDoesNot() {
    assertThat(draws(new Sampler(1, 0, 1, 7))).isEqualTo(draws(new Sampler(1, 0, 1, 7)));
    assertThat(draws(new Sampler(1, 0, 1, 7))).isNotEqualTo(draws(new Sampler(1, 0, 1, 8)));
  }

  @Test
  void promptsDrawIndependently() {
    Sampler sampler = new Sampler(1, 0, 1, 7);

    assertThat(IntStream.range(0, 100).map(i -> sampler.next(LOGITS, 0, i)).toArray())
        .isNotEqualTo(IntStream.range(0, 100).map(i -> sampler.next(LOGITS, 1, i)).toArray());
  }

  @Test
  void aLogitThatIsNotANumberIsNamedNotIgnored() {
    assertThatThrownBy(() -> Sampler.greedy().next(new float[] {0, Float.NaN}, 2, 4))
        .isInstanceOf(FailureException.class)
        .hasMessageContaining("prompt 3")
        .hasMessageContaining("token 5");
  }

  @Test
  void settingsOutOfRangeAreRefused() {
    assertThatThrownBy(() -> new Sampler(-1, 0, 1, 0)).isInstanceOf(InputException.class);
    assertThatThrownBy(() -> new Sampler(Double.NaN, 0, 1, 0)).isInstanceOf(InputException.class);
    assertThatThrownBy(() -> new Sampler(1, -1, 1, 0)).isInstanceOf(InputException.class);
    assertThatThrownBy(() -> new Sampler(1, 0, 0, 0)).isInstanceOf(InputException.class);
    assertThatThrownBy(() -> new Sampler(1, 0, 1.1, 0)).isInstanceOf(InputException.class);
  }

  private static int[] draws(Sampler sampler) {
    return IntStream.range(0, DRAWS).map(i -> sampler.next(LOGITS, 0, i)).toArray();
  }
}
