package dev.gatun.io;

import dev.gatun.InputException;
import dev.gatun.UnsupportedException;
import dev.gatun.model.ModelConfig.Biases;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// What tells the model families apart: the values that transformers assumes where `config.json` is
/// silent, and the structure it never spells out. A new family of the same build is one entry.
///
/// @param modelType `model_type`
/// @param defaultKeyValueHeads if `num_key_value_heads` is absent; null for as many as heads
/// @param defaultHeadSize if `head_dim` is absent; null for hidden_size / num_attention_heads
/// @param windows which layers see a sliding window
/// @param queryKeyNorm whether heads of Q and K are normalised
/// @param biases where biases are
/// @param defaultMaxPositions if `max_position_embeddings` is absent
/// @param defaultEosTokenId if `eos_token_id` is absent
record Family(
    String modelType,
    @Nullable Integer defaultKeyValueHeads,
    @Nullable Integer defaultHeadSize,
    Windows windows,
    boolean queryKeyNorm,
    BiasRule biases,
    int defaultMaxPositions,
    @Nullable Integer defaultBosTokenId,
    @Nullable Integer defaultEosTokenId) {

  private static final List<Family> ALL =
      List.of(
          new Family(
              "llama",
              null,
              null,
              Windows.NONE,
              false,
              config ->
                  biases(config.flag("attention_bias", false), config.flag("mlp_bias", false)),
              2048,
              1,
              2),
          new Family(
              "mistral",
              8,
              null,
              Windows.EVERY_LAYER,
              false,
              config -> biases(false, false),
              131_072,
              1,
              2),
          new Family(
              "qwen2",
              32,
              null,
              Windows.BY_LAYER_TYPE,
              false,
              config -> new Biases(true, false, false),
              32_768,
              null,
              null),
          new Family(
              "qwen3",
              32,
              128,
              Windows.BY_LAYER_TYPE,
              true,
              config -> biases(config.flag("attention_bias", false), false),
              32_768,
              null,
              null));

  /// How `sliding_window` applies.
  enum Windows {
    /// Never read.
    NONE,
    /// In every layer unless null; 4096 if absent.
    EVERY_LAYER,
    /// Where `layer_types` says so, if `use_sliding_window` is set; 4096 if absent.
    BY_LAYER_TYPE
  }

  /// Finds the biases of a configuration.
  interface BiasRule {
    Biases of(JsonObject config);
  }

  /// The family of a configuration.
  ///
  /// @throws InputException if `model_type` is missing
  /// @throws UnsupportedException if this engine does not know it
  static Family of(JsonObject config) {
    String type = config.string("model_type");
    List<String> known = new ArrayList<>();
    for (Family family : ALL) {
      if (family.modelType.equals(type)) {
        return family;
      }
      known.add(family.modelType);
    }
    throw new UnsupportedException(
        "%s is %s, a model family that is not supported; supported are %s"
            .formatted(config.where("model_type"), Quoted.of(type), String.join(", ", known)));
  }

  private static Biases biases(boolean attention, boolean mlp) {
    return new Biases(attention, attention, mlp);
  }
}
