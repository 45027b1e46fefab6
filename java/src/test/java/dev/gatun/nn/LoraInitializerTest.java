package dev.gatun.nn;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.model.LoraConfig.Adapted;
import dev.gatun.model.LoraConfig.Initialization;
import dev.gatun.model.ModelConfig;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

class LoraInitializerTest {
  private static final ModelConfig MODEL = TinyModel.llama();
  private static final String Q = "model.layers.1.self_attn.q_proj";
  private static final String K = "model.layers.1.self_attn.k_proj";
  private static final int RANK = 400;

  @Test
  void kaimingUniformFillsItsInterval() {
    float[] a = a(initialize(Initialization.KAIMING_UNIFORM, 1, Q), Q);
    double bound = 1 / Math.sqrt(MODEL.hidden());
    double squares = 0;
    float largest = 0;
    for (float value : a) {
      squares += value * value;
      largest = Math.max(largest, Math.abs(value));
    }

    assertThat(largest).isBetween((float) (0.99 * bound), (float) bound);
    // Variance of a uniform number: bound²/3; 8000 values give 2 %.
    assertThat(squares / a.length / (bound * bound / 3)).isBetween(0.95, 1.05);
  }

  @Test
  void gaussianHasDeviationOneOverRank() {
    float[] a = a(initialize(Initialization.GAUSSIAN, 1, Q), Q);
    double squares = 0;
    double sum = 0;
    for (float value : a) {
      squares += value * (double) value;
      sum += value;
    }

    assertThat(Math.sqrt(squares / a.length) * RANK).isBetween(0.95, 1.05);
    assertThat(Math.abs(sum / a.length) * RANK).isLessThan(0.05);
  }

  @Test
  void bIsZero() {
    for (float value :
        requireNonNull(initialize(Initialization.GAUSSIAN, 1, Q).get(Q)).b().toFloats()) {
      assertThat(value).isZero();
    }
  }

  @Test
  void aModuleStartsTheSameWhateverElseIsAdapted() {
    float[] alone = a(initialize(Initialization.KAIMING_UNIFORM, 42, Q), Q);
    SortedMap<String, LoraModule> both = initialize(Initialization.KAIMING_UNIFORM, 42, K, Q);

    assertThat(a(both, Q)).containsExactly(alone);
    assertThat(a(both, K)).isNotEqualTo(alone);
    assertThat(a(initialize(Initialization.KAIMING_UNIFORM, 43, Q), Q)).isNotEqualTo(alone);
  }

  private static SortedMap<String, LoraModule> initialize(
      Initialization initialization, long seed, String... paths) {
    SortedMap<String, Adapted> targets = new TreeMap<>();
    List.of(paths).forEach(path -> targets.put(path, new Adapted(RANK, 1, 0)));
    return LoraInitializer.initialize(targets, MODEL, initialization, seed);
  }

  private static float[] a(SortedMap<String, LoraModule> modules, String path) {
    return requireNonNull(modules.get(path)).a().toFloats();
  }
}
