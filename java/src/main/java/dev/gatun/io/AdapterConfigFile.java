package dev.gatun.io;

import dev.gatun.InputException;
import dev.gatun.UnsupportedException;
import dev.gatun.model.LoraConfig;
import dev.gatun.model.LoraConfig.Initialization;
import dev.gatun.model.LoraConfig.Modules;
import dev.gatun.model.LoraConfigBuilder;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// Reads PEFT's `adapter_config.json`. A key that asks for something this engine lacks is refused,
/// whatever PEFT version wrote it; keys that no longer matter once an adapter is trained are not
/// looked at.
final class AdapterConfigFile {
  /// Keys that never change what a trained adapter computes.
  private static final Set<String> WITHOUT_EFFECT =
      Set.of(
          "auto_mapping",
          "base_model_name_or_path",
          "inference_mode",
          "loftq_config",
          "megatron_config",
          "megatron_core",
          "peft_version",
          "qalora_group_size",
          "revision",
          "runtime_config");

  /// Keys this engine acts on.
  private static final Set<String> ACTED_ON =
      Set.of(
          "alpha_pattern",
          "bias",
          "ensure_weight_tying",
          "exclude_modules",
          "init_lora_weights",
          "layers_pattern",
          "layers_to_transform",
          "lora_alpha",
          "lora_dropout",
          "modules_to_save",
          "peft_type",
          "r",
          "rank_pattern",
          "target_modules",
          "task_type",
          "trainable_token_indices",
          "use_dora",
          "use_rslora");

  private static final int MAX_RANK = 1 << 20;

  private final JsonObject json;

  private AdapterConfigFile(JsonObject json) {
    this.json = json;
  }

  /// @throws InputException naming file and key
  /// @throws UnsupportedException if the adapter is not plain LoRA
  static LoraConfig read(JsonObject json) {
    return new AdapterConfigFile(json).lora();
  }

  private LoraConfig lora() {
    requirePlainLora();
    double dropout = json.has("lora_dropout") ? json.number("lora_dropout") : 0;
    if (dropout < 0 || dropout >= 1) {
      throw json.bad("lora_dropout", "is %s, not from 0 to below 1".formatted(dropout));
    }
    Double alpha = json.optionalNumber("lora_alpha");
    Integer rank = json.optionalInteger("r", 1, MAX_RANK);
    Modules targets = modules("target_modules");
    if (targets == null) {
      throw json.bad("target_modules", "is missing");
    }
    LoraConfigBuilder lora = LoraConfig.builder(targets);
    if (rank != null) {
      lora.rank(rank);
    }
    if (alpha != null) {
      lora.alpha(alpha);
    }
    return lora.dropout(dropout)
        .rankStabilized(json.flag("use_rslora", false))
        .excludeModules(modules("exclude_modules"))
        .layersToTransform(layersToTransform())
        .layersPattern(oneOrMore("layers_pattern"))
        .rankPattern(rankPattern())
        .alphaPattern(alphaPattern())
        .initialization(initialization())
        .modulesToSave(oneOrMore("modules_to_save"))
        .ensureWeightTying(json.flag("ensure_weight_tying", false))
        .weightDecomposed(json.flag("use_dora", false))
        .trainableTokens(trainableTokens())
        .build();
  }

  private List<String> oneOrMore(String key) {
    return json.isString(key) ? List.of(json.string(key)) : json.strings(key);
  }

  /// A list names tokens of the embedding.
  private LoraConfig.Tokens trainableTokens() {
    String key = "trainable_token_indices";
    if (json.isArray(key)) {
      return new LoraConfig.Tokens.Indices(
          Map.of("embed_tokens", json.integers(key, 0, Integer.MAX_VALUE)));
    }
    JsonObject modules = json.object(key);
    Map<String, List<Integer>> indices = new LinkedHashMap<>();
    if (modules != null) {
      modules
          .keys()
          .forEach(name -> indices.put(name, modules.integers(name, 0, Integer.MAX_VALUE)));
    }
    return new LoraConfig.Tokens.Indices(indices);
  }

  private void requirePlainLora() {
    require("peft_type", "LORA");
    if (json.has("task_type")) {
      require("task_type", "CAUSAL_LM");
    }
    if (json.has("bias")) {
      require("bias", "none");
    }
    for (String key : json.keys()) {
      if (!ACTED_ON.contains(key) && !WITHOUT_EFFECT.contains(key) && !json.isUnset(key)) {
        throw new UnsupportedException(
            json.where(key) + " is set, which is not supported: only plain LoRA adapters are");
      }
    }
  }

  private void require(String key, String supported) {
    String value = json.string(key);
    if (!value.equals(supported)) {
      throw new UnsupportedException(
          "%s is %s, which is not supported; only %s is"
              .formatted(json.where(key), Quoted.of(value), supported));
    }
  }

  private @Nullable Modules modules(String key) {
    if (!json.has(key)) {
      return null;
    }
    if (json.isString(key)) {
      String text = json.string(key);
      return text.equals("all-linear") ? new Modules.AllLinear() : new Modules.Pattern(text);
    }
    return new Modules.Names(json.strings(key));
  }

  private List<Integer> layersToTransform() {
    String key = "layers_to_transform";
    Integer single = json.isArray(key) ? null : json.optionalInteger(key, 0, Integer.MAX_VALUE);
    return single != null
        ? List.of(single)
        : json.isArray(key) ? json.integers(key, 0, Integer.MAX_VALUE) : List.of();
  }

  private Map<String, Integer> rankPattern() {
    Map<String, Integer> ranks = new LinkedHashMap<>();
    JsonObject patterns = json.object("rank_pattern");
    if (patterns != null) {
      patterns.keys().forEach(key -> ranks.put(key, patterns.integer(key, 1, MAX_RANK)));
    }
    return ranks;
  }

  private Map<String, Double> alphaPattern() {
    Map<String, Double> alphas = new LinkedHashMap<>();
    JsonObject patterns = json.object("alpha_pattern");
    if (patterns != null) {
      patterns.keys().forEach(key -> alphas.put(key, patterns.number(key)));
    }
    return alphas;
  }

  private Initialization initialization() {
    String key = "init_lora_weights";
    if (!json.has(key) || json.isBoolean(key)) {
      return json.flag(key, true) ? Initialization.KAIMING_UNIFORM : Initialization.UNIFORM;
    }
    String name = json.string(key);
    if (name.equalsIgnoreCase("gaussian")) {
      return Initialization.GAUSSIAN;
    }
    if (name.equals("orthogonal")) {
      return Initialization.ORTHOGONAL;
    }
    throw new UnsupportedException(
        "%s is %s, which is not supported: some such methods change the base weights too"
            .formatted(json.where(key), Quoted.of(name)));
  }
}
