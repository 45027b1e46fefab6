package dev.gatun.nn;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gatun.InputException;
import dev.gatun.Tolerances;
import dev.gatun.model.LoraConfig.Adapted;
import dev.gatun.model.LoraConfig.Initialization;
import dev.gatun.model.ModelConfig;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import java.util.List;
import java.util.Map;
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
  void orthogonalFactorsHaveNoProduct() {
    LoraModule module = requireNonNull(initialize(Initialization.ORTHOGONAL, 1, Q).get(Q));
    float[] a = module.a().toFloats();
    float[] b = module.b().toFloats();
    int in = Math.toIntExact(module.a().cols());
    double largest = 0;
    double squares = 0;
    for (int i = 0; i < in; i++) {
      for (int o = 0; o < module.b().rows(); o++) {
        double product = 0;
        for (int r = 0; r < RANK; r++) {
          product += (double) b[o * RANK + r] * a[r * in + i];
        }
        largest = Math.max(largest, Math.abs(product));
      }
    }
    for (float value : a) {
      squares += value * (double) value;
    }

    // A column of A has the length of RANK/2 normal numbers of deviation 1/10.
    assertThat(squares / in / (RANK / 2.0 / 100)).isBetween(0.9, 1.1);
    assertThat(largest).isLessThan(RANK * Tolerances.unitRoundoff(DType.F32));
    assertThatThrownBy(() ->
            LoraInitializer.initialize(
                new TreeMap<>(Map.of(Q, new Adapted(3, 1, 0))),
                MODEL,
                Initialization.ORTHOGONAL,
                1))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("even rank");
  }

  @Test
  void falseLeavesBothFactorsRandom() {
    LoraModule module = requireNonNull(initialize(Initialization.UNIFORM, 1, Q).get(Q));
    float largest = 0;
    for (float value : module.b().toFloats()) {
      largest = Math.max(largest, Math.abs(value));
    }

    double bound = 1 / Math.sqrt(RANK);
    assertThat(largest).isBetween((float) (0.99 * bound), (float) bound);
    assertThat(module.a().toFloats())
        .containsExactly(a(initialize(Initialization.KAIMING_UNIFORM, 1, Q), Q));
  }

  @Test
  void aModuleStartsTheSameWhateverElseIsAdapted() {
    float[] alone = a(initialize(Initialization.KAIMING_UNIFORM, 42, Q), Q);
    SortedMap<String, LoraModule> both = initialize(Initialization.KAIMING_UNIFORM, 42, K, Q);

    assertThat(a(both, Q)).containsExactly(alone);
    assertThat(a(both, K)).isNotEqualTo(alone);
    assertThat(a(initialize(Initialization.KAIMING_UNIFORM, 43, Q), Q)).isNotEqualTo(alone);
  }

  @Test
  void whatAnEmbeddingLooksUpStartsAtZero() {
    LoraModule module =
        requireNonNull(
            initialize(Initialization.KAIMING_UNIFORM, 1, ModuleTree.EMBEDDING)
                .get(ModuleTree.EMBEDDING));
    assertThat(module.a().shape()).isEqualTo(Shape.of(RANK, MODEL.vocabulary()));
    assertThat(module.a().toFloats()).containsOnly(0);
    assertThat(module.b().shape()).isEqualTo(Shape.of(MODEL.hidden(), RANK));
    double squares = 0;
    for (float value : module.b().toFloats()) {
      squares += value * value;
    }
    assertThat(squares / module.b().shape().count()).isCloseTo(1, within(0.2));
    assertThatThrownBy(() -> initialize(Initialization.ORTHOGONAL, 1, ModuleTree.EMBEDDING))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("embed_tokens");
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
