package dev.gatun.model;

import dev.gatun.tensor.Shape;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// The parameters that a configuration calls for, under the names that transformers gives them, in
/// the order of the model.
///
/// @param linears weights `[out, in]` by module path, `lm_head` among them unless it is tied
/// @param tensors every other parameter by its own name
public record ParameterLayout(Map<String, Shape> linears, Map<String, Shape> tensors) {
  /// Module path of the output head.
  public static final String HEAD = "lm_head";

  /// Parameter name of the token embedding, `[V, H]`.
  public static final String EMBEDDING = "model.embed_tokens.weight";

  public ParameterLayout {
    linears = Collections.unmodifiableMap(new LinkedHashMap<>(linears));
    tensors = Collections.unmodifiableMap(new LinkedHashMap<>(tensors));
  }

  /// The layout of a model.
  public static ParameterLayout of(ModelConfig config) {
    Builder builder = new Builder(config);
    for (int i = 0; i < config.layerCount(); i++) {
      builder.layer("model.layers." + i + ".");
    }
    builder.tensors.put("model.norm.weight", Shape.of(config.hidden()));
    if (!config.tiedEmbeddings()) {
      builder.linears.put(HEAD, Shape.of(config.vocabulary(), config.hidden()));
    }
    return new ParameterLayout(builder.linears, builder.tensors);
  }

  /// Paths of the linear layers inside the decoder: all but the output head.
  public List<String> decoderLinears() {
    return linears.keySet().stream().filter(path -> !path.equals(HEAD)).toList();
  }

  private static final class Builder {
    private final ModelConfig config;
    private final Map<String, Shape> linears = new LinkedHashMap<>();
    private final Map<String, Shape> tensors = new LinkedHashMap<>();

    Builder(ModelConfig config) {
      this.config = config;
      tensors.put(EMBEDDING, Shape.of(config.vocabulary(), config.hidden()));
    }

    void layer(String layer) {
      long hidden = config.hidden();
      long head = config.headSize();
      long queries = head * config.heads();
      long keys = head * config.keyValueHeads();
      ModelConfig.Biases biases = config.biases();
      tensors.put(layer + "input_layernorm.weight", Shape.of(hidden));
      linear(layer + "self_attn.q_proj", queries, hidden, biases.queryKeyValue());
      linear(layer + "self_attn.k_proj", keys, hidden, biases.queryKeyValue());
      linear(layer + "self_attn.v_proj", keys, hidden, biases.queryKeyValue());
      linear(layer + "self_attn.o_proj", hidden, queries, biases.attentionOutput());
      if (config.queryKeyNorm()) {
        tensors.put(layer + "self_attn.q_norm.weight", Shape.of(head));
        tensors.put(layer + "self_attn.k_norm.weight", Shape.of(head));
      }
      tensors.put(layer + "post_attention_layernorm.weight", Shape.of(hidden));
      linear(layer + "mlp.gate_proj", config.intermediate(), hidden, biases.mlp());
      linear(layer + "mlp.up_proj", config.intermediate(), hidden, biases.mlp());
      linear(layer + "mlp.down_proj", hidden, config.intermediate(), biases.mlp());
    }

    private void linear(String path, long out, long in, boolean bias) {
      linears.put(path, Shape.of(out, in));
      if (bias) {
        tensors.put(path + ".bias", Shape.of(out));
      }
    }
  }
}
