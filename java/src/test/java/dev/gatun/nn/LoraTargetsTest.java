package dev.gatun.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.UnsupportedException;
import dev.gatun.model.LoraConfig;
import dev.gatun.model.LoraConfig.Adapted;
import dev.gatun.model.LoraConfig.Modules;
import dev.gatun.model.ModelConfig;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class LoraTargetsTest {
  private static final ModelConfig MODEL = TinyModel.everything();

  @Test
  void namesMatchWholeComponentsAtTheEnd() {
    assertThat(paths(names("q_proj", "mlp.up_proj"), null))
        .containsExactly(
            "model.layers.0.mlp.up_proj",
            "model.layers.0.self_attn.q_proj",
            "model.layers.1.mlp.up_proj",
            "model.layers.1.self_attn.q_proj");
    assertThat(paths(names("model.layers.1.self_attn.o_proj", "k_proj"), null))
        .containsExactly(
            "model.layers.0.self_attn.k_proj",
            "model.layers.1.self_attn.k_proj",
            "model.layers.1.self_attn.o_proj");
    refuses(names("_proj"), "_proj");
  }

  @Test
  void aPatternMatchesTheWholePath() {
    assertThat(paths(new Modules.Pattern("model\\.layers\\.0\\..*(k_proj|gate_proj)"), null))
        .containsExactly("model.layers.0.mlp.gate_proj", "model.layers.0.self_attn.k_proj");
    refuses(new Modules.Pattern("q_proj"), "q_proj");
    refuses(new Modules.Pattern("(unclosed"), "unclosed");
  }

  @Test
  void allLinearLeavesTheHeadOut() {
    assertThat(paths(new Modules.AllLinear(), null))
        .hasSize(14)
        .doesNotContain("lm_head")
        .allMatch(path -> path.endsWith("_proj"));
  }

  @Test
  void exclusionsComeFirst() {
    assertThat(paths(new Modules.AllLinear(), names("mlp.up_proj", "q_proj", "k_proj", "v_proj")))
        .hasSize(6)
        .noneMatch(path -> path.endsWith("up_proj") || path.endsWith("q_proj"));
    assertThat(paths(names("o_proj"), new Modules.Pattern(".*\\.0\\..*")))
        .containsExactly("model.layers.1.self_attn.o_proj");
    assertThatThrownBy(() -> paths(names("o_proj"), names("o_proj")))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("exclude_modules");
  }

  @Test
  void layersAreChosenByTheFirstIndex() {
    assertThat(LoraTargets.resolve(layers(List.of(1), List.of()), MODEL).keySet())
        .containsExactly("model.layers.1.mlp.down_proj");
    assertThat(LoraTargets.resolve(layers(List.of(0), List.of("h", "layers")), MODEL).keySet())
        .containsExactly("model.layers.0.mlp.down_proj");
    assertThatThrownBy(() -> LoraTargets.resolve(layers(List.of(0), List.of("h")), MODEL))
        .isInstanceOf(InputException.class);
    assertThatThrownBy(() -> LoraTargets.resolve(layers(List.of(7), List.of()), MODEL))
        .isInstanceOf(InputException.class);
  }

  private static LoraConfig layers(List<Integer> indices, List<String> patterns) {
    return LoraConfig.builder(names("down_proj"))
        .alpha(16)
        .layersToTransform(indices)
        .layersPattern(patterns)
        .build();
  }

  @Test
  void patternsSetRankAndAlphaAndTheFirstWins() {
    Map<String, Integer> ranks = new LinkedHashMap<>();
    ranks.put("layers.1.mlp.up_proj", 2);
    ranks.put("up_proj", 5);
    Map<String, Adapted> adapted =
        LoraTargets.resolve(
            LoraConfig.builder(names("up_proj", "q_proj"))
                .alpha(16)
                .dropout(0.1)
                .rankPattern(ranks)
                .alphaPattern(Map.of("layers.\\d.self_attn.q_proj", 4.0))
                .initialization(LoraConfig.Initialization.GAUSSIAN)
                .build(),
            MODEL);

    assertThat(adapted)
        .containsEntry("model.layers.0.mlp.up_proj", new Adapted(5, 16.0 / 5, 0.1))
        .containsEntry("model.layers.1.mlp.up_proj", new Adapted(2, 8, 0.1))
        .containsEntry("model.layers.0.self_attn.q_proj", new Adapted(8, 0.5, 0.1));
  }

  @Test
  void rankStabilisedScalesByTheRoot() {
    LoraConfig config = LoraConfig.builder(names("q_proj")).rank(16).rankStabilized(true).build();

    assertThat(LoraTargets.resolve(config, MODEL).values()).containsOnly(new Adapted(16, 2, 0));
  }

  @Test
  void embeddingAndHeadAreTargetsWhereTheyAreNamed() {
    assertThat(paths(names("embed_tokens", "lm_head"), null))
        .containsExactly("lm_head", "model.embed_tokens");
    assertThat(paths(new Modules.AllLinear(), null))
        .isNotEmpty()
        .doesNotContain("lm_head", "model.embed_tokens");
  }

  @Test
  void updatesOfEmbeddingAndHeadArePlain() {
    LoraConfig decomposed =
        LoraConfig.builder(names("q_proj", "lm_head")).alpha(16).weightDecomposed(true).build();
    assertThatThrownBy(() -> LoraTargets.resolve(decomposed, MODEL))
        .isInstanceOf(UnsupportedException.class)
        .hasMessageContaining("lm_head")
        .hasMessageContaining("use_dora");
  }

  @Test
  void refusesWhatIsNoLinearLayerOrDoesNotExist() {
    refuses(names("self_attn"), "self_attn");
    refuses(names("input_layernorm"), "input_layernorm");
    refuses(names("qkv"), "qkv");
  }

  @Test
  void whatFitsNothingIsRefusedInANewAdapter() {
    LoraTargets.requireUsed(config(List.of("q_proj", "up_proj"), List.of(1), "up_proj"), MODEL);

    requireUsedFails(config(List.of("q_proj", "vproj"), List.of(), "q_proj"), "vproj");
    requireUsedFails(config(List.of("q_proj"), List.of(0, 2), "q_proj"), "layer 2", "0 to 1");
    requireUsedFails(config(List.of("q_proj"), List.of(), "up_proj"), "rank_pattern", "up_proj");
  }

  private static void requireUsedFails(LoraConfig config, String... named) {
    assertThatThrownBy(() -> LoraTargets.requireUsed(config, MODEL))
        .isInstanceOf(InputException.class)
        .hasMessageContainingAll(named);
  }

  private static LoraConfig config(List<String> targets, List<Integer> layers, String pattern) {
    return LoraConfig.builder(new Modules.Names(targets))
        .alpha(16)
        .layersToTransform(layers)
        .rankPattern(Map.of(pattern, 4))
        .build();
  }

  private static void refuses(Modules targets, String named) {
    assertThatThrownBy(() -> paths(targets, null))
        .isInstanceOf(InputException.class)
        .isNotInstanceOf(UnsupportedException.class)
        .hasMessageContaining(named);
  }

  private static Modules names(String... names) {
    return new Modules.Names(List.of(names));
  }

  private static Set<String> paths(Modules targets, @Nullable Modules excluded) {
    LoraConfig config = LoraConfig.builder(targets).alpha(16).excludeModules(excluded).build();
    return LoraTargets.resolve(config, MODEL).keySet();
  }
}
