package dev.gatun.nn;

import dev.gatun.model.ModelConfig;
import dev.gatun.nn.Parameter.Kind;
import dev.gatun.tensor.Shape;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/// The modules and parameters of a decoder-only model under the names checkpoints use.
public final class ModuleTree {
  /// Path of the token embedding.
  public static final String EMBEDDING = "model.embed_tokens";

  /// Path of the output head.
  public static final String HEAD = "lm_head";

  static final String FINAL_NORM = "model.norm";

  private ModuleTree() {}

  /// A linear layer.
  ///
  /// @param path `model.layers.0.self_attn.q_proj`
  public record Linear(String path, long out, long in, boolean bias) {}

  /// Path of decoder layer `index`.
  static String layer(int index) {
    return "model.layers." + index;
  }

  /// The linear layers of all decoder layers, in the order of computation; the output head is not
  /// among them.
  public static List<Linear> linears(ModelConfig config) {
    List<Linear> linears = new ArrayList<>();
    long hidden = config.hidden();
    long queries = (long) config.heads() * config.headSize();
    long keys = (long) config.keyValueHeads() * config.headSize();
    boolean bias = config.biases().queryKeyValue();
    boolean mlpBias = config.biases().mlp();
    for (int i = 0; i < config.layerCount(); i++) {
      String attention = layer(i) + ".self_attn.";
      String mlp = layer(i) + ".mlp.";
      linears.add(new Linear(attention + "q_proj", queries, hidden, bias));
      linears.add(new Linear(attention + "k_proj", keys, hidden, bias));
      linears.add(new Linear(attention + "v_proj", keys, hidden, bias));
      linears.add(
          new Linear(attention + "o_proj", hidden, queries, config.biases().attentionOutput()));
      linears.add(new Linear(mlp + "gate_proj", config.intermediate(), hidden, mlpBias));
      linears.add(new Linear(mlp + "up_proj", config.intermediate(), hidden, mlpBias));
      linears.add(new Linear(mlp + "down_proj", hidden, config.intermediate(), mlpBias));
    }
    return linears;
  }

  /// Every module of the model but the root: what target patterns are matched against.
  static List<String> modules(ModelConfig config) {
    List<String> modules = new ArrayList<>(List.of("model", EMBEDDING, "model.layers"));
    for (int i = 0; i < config.layerCount(); i++) {
      String layer = layer(i);
      modules.add(layer);
      Stream.of(".self_attn", ".mlp", ".mlp.act_fn", ".input_layernorm")
          .forEach(name -> modules.add(layer + name));
      modules.add(layer + ".post_attention_layernorm");
      if (config.queryKeyNorm()) {
        modules.add(layer + ".self_attn.q_norm");
        modules.add(layer + ".self_attn.k_norm");
      }
    }
    linears(config).forEach(linear -> modules.add(linear.path()));
    modules.addAll(List.of(FINAL_NORM, "model.rotary_emb", HEAD));
    return modules;
  }

  /// Every parameter of the model; a tied output head is none of its own.
  public static List<Parameter.Spec> parameters(ModelConfig config) {
    List<Parameter.Spec> specs = new ArrayList<>();
    Shape vocabulary = Shape.of(config.vocabulary(), config.hidden());
    specs.add(new Parameter.Spec(EMBEDDING + ".weight", Kind.EMBEDDING, vocabulary));
    if (!config.tiedEmbeddings()) {
      specs.add(new Parameter.Spec(HEAD + ".weight", Kind.HEAD, vocabulary));
    }
    for (Linear linear : linears(config)) {
      specs.add(
          new Parameter.Spec(
              linear.path() + ".weight", Kind.WEIGHT, Shape.of(linear.out(), linear.in())));
      if (linear.bias()) {
        specs.add(new Parameter.Spec(linear.path() + ".bias", Kind.BIAS, Shape.of(linear.out())));
      }
    }
    for (int i = 0; i < config.layerCount(); i++) {
      String layer = layer(i);
      specs.add(norm(layer + ".input_layernorm", config.hidden()));
      specs.add(norm(layer + ".post_attention_layernorm", config.hidden()));
      if (config.queryKeyNorm()) {
        specs.add(norm(layer + ".self_attn.q_norm", config.headSize()));
        specs.add(norm(layer + ".self_attn.k_norm", config.headSize()));
      }
    }
    specs.add(norm(FINAL_NORM, config.hidden()));
    return specs;
  }

  private static Parameter.Spec norm(String path, long size) {
    return new Parameter.Spec(path + ".weight", Kind.NORM, Shape.of(size));
  }

  /// PEFT's names of the two halves of a low-rank update.
  public static String loraA(String module) {
    return "base_model.model." + module + ".lora_A.weight";
  }

  /// See [#loraA].
  public static String loraB(String module) {
    return "base_model.model." + module + ".lora_B.weight";
  }
}
