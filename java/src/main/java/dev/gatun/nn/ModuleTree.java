package dev.gatun.nn;

import dev.gatun.model.ModelConfig;
import dev.gatun.model.ParameterLayout;
import dev.gatun.nn.Parameter.Kind;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/// The modules and parameters of a decoder-only model under the names checkpoints use.
public final class ModuleTree {
  /// Path of the token embedding.
  public static final String EMBEDDING = "model.embed_tokens";

  /// Path of the output head.
  public static final String HEAD = ParameterLayout.HEAD;

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
    ParameterLayout layout = ParameterLayout.of(config);
    List<Linear> linears = new ArrayList<>();
    layout
        .linears()
        .forEach((path, shape) -> {
          if (!path.equals(HEAD)) {
            boolean bias = layout.tensors().containsKey(path + ".bias");
            linears.add(new Linear(path, shape.dim(0), shape.dim(1), bias));
          }
        });
    return linears;
  }

  /// What low-rank updates can be of: [#linears], the output head, and the embedding seen as a
  /// layer from ids to hidden states.
  public static List<Linear> adaptable(ModelConfig config) {
    List<Linear> all = new ArrayList<>(linears(config));
    all.add(new Linear(HEAD, config.vocabulary(), config.hidden(), false));
    all.add(new Linear(EMBEDDING, config.hidden(), config.vocabulary(), false));
    return all;
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
    ParameterLayout layout = ParameterLayout.of(config);
    List<Parameter.Spec> specs = new ArrayList<>();
    layout
        .linears()
        .forEach((path, shape) ->
            specs.add(
                new Parameter.Spec(
                    path + ".weight", path.equals(HEAD) ? Kind.HEAD : Kind.WEIGHT, shape)));
    layout
        .tensors()
        .forEach((name, shape) -> specs.add(new Parameter.Spec(name, kind(name), shape)));
    return specs;
  }

  private static Kind kind(String name) {
    if (name.equals(ParameterLayout.EMBEDDING)) {
      return Kind.EMBEDDING;
    }
    return name.endsWith(".bias") ? Kind.BIAS : Kind.NORM;
  }

  /// PEFT's names of the two halves of a low-rank update.
  public static String loraA(String module) {
    return "base_model.model."
        + module
        + (module.equals(EMBEDDING) ? ".lora_embedding_A" : ".lora_A.weight");
  }

  /// PEFT's name of the magnitudes of a weight-decomposed update.
  public static String loraMagnitude(String module) {
    return "base_model.model." + module + ".lora_magnitude_vector.weight";
  }

  /// PEFT's name of a weight trained whole, see [ModulesToSave].
  public static String saved(String module) {
    return "base_model.model." + module + ".modules_to_save.weight";
  }

  /// PEFT's name of rows that are trained by themselves, see [TrainedTokens].
  public static String tokens(String module) {
    return "base_model.model." + module + ".token_adapter.trainable_tokens_delta";
  }

  /// See [#loraA].
  public static String loraB(String module) {
    return "base_model.model."
        + module
        + (module.equals(EMBEDDING) ? ".lora_embedding_B" : ".lora_B.weight");
  }
}
