package dev.gatun.nn;

import dev.gatun.InputException;
import dev.gatun.model.LoraConfig;
import dev.gatun.model.ModelConfig;
import dev.gatun.model.ModelWeights;
import dev.gatun.nn.Parameter.Kind;
import dev.gatun.op.AttentionOps;
import dev.gatun.op.Dropout;
import dev.gatun.op.Projection;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Puts layers together from a model's description, its weights and its parameters.
final class Assembly {
  private final ModelConfig config;
  private final ModelWeights weights;
  private final Training training;
  private final Parameters parameters;
  private final Tensor dropoutState;
  private final DecodedWeights decoded;
  private final TensorArena tables;
  private final Map<String, ModuleTree.Linear> linears = new HashMap<>();
  private final Map<String, Integer> streams = new HashMap<>();
  private final List<DoraLinear> decomposed = new ArrayList<>();

  /// @param dropoutState I64 `[2]`
  /// @param tables where what layers hold beside parameters is allocated
  Assembly(
      ModelConfig config,
      ModelWeights weights,
      Training training,
      Parameters parameters,
      Tensor dropoutState,
      DecodedWeights decoded,
      TensorArena tables) {
    this.config = config;
    this.weights = weights;
    this.training = training;
    this.parameters = parameters;
    this.dropoutState = dropoutState;
    this.decoded = decoded;
    this.tables = tables;
    for (ModuleTree.Linear linear : ModuleTree.linears(config)) {
      // Stream 0 is the embedding noise.
      streams.put(linear.path(), streams.size() + 1);
      linears.put(linear.path(), linear);
    }
    streams.put(ModuleTree.HEAD, streams.size() + 1);
  }

  /// The parameters that a model in this training mode holds itself.
  static List<Parameter.Spec> specs(ModelConfig config, Training training) {
    if (training instanceof Training.Full) {
      return ModuleTree.parameters(config);
    }
    Map<String, LoraModule> adapters = new LinkedHashMap<>(training.adapters());
    List<Parameter.Spec> specs = new ArrayList<>();
    for (ModuleTree.Linear linear : ModuleTree.adaptable(config)) {
      String path = linear.path();
      LoraModule module = adapters.remove(path);
      if (module == null) {
        continue;
      }
      int rank = module.adapted().rank();
      Shape a = Shape.of(rank, linear.in());
      Shape b = Shape.of(linear.out(), rank);
      requireShape(path, "A", module.a().shape(), a);
      requireShape(path, "B", module.b().shape(), b);
      specs.add(new Parameter.Spec(ModuleTree.loraA(path), Kind.LORA_A, a));
      // LoRA+ speeds up linear layers only.
      Kind kindOfB = path.equals(ModuleTree.EMBEDDING) ? Kind.LORA_A : Kind.LORA_B;
      specs.add(new Parameter.Spec(ModuleTree.loraB(path), kindOfB, b));
      if (module.adapted().weightDecomposed()) {
        specs.add(
            new Parameter.Spec(
                ModuleTree.loraMagnitude(path), Kind.LORA_MAGNITUDE, Shape.of(linear.out())));
      }
    }
    if (!adapters.isEmpty()) {
      throw new InputException(
          "the adapter updates %s, which is no layer of this model; use the base model it was trained on"
              .formatted(adapters.keySet().iterator().next()));
    }
    specs.addAll(training.replaced().specs(config));
    specs.addAll(training.rows().specs(config));
    return specs;
  }

  private static void requireShape(String path, String half, Shape actual, Shape expected) {
    if (!actual.equals(expected)) {
      throw new InputException(
          "the adapter's %s for %s has shape %s, this model needs %s; use the base model it was trained on"
              .formatted(half, path, actual, expected));
    }
  }

  DecoderStack stack(Checkpointing checkpointing, HostedLayers.Extents extents) {
    List<DecoderLayer> layers = new ArrayList<>();
    for (int i = 0; i < config.layerCount(); i++) {
      layers.add(new DecoderLayer(attention(i), mlp(i)));
    }
    EmbeddingUpdate update = embeddingUpdate();
    boolean inputTrained =
        gradient(embeddingName()) != null
            || gradient(ModuleTree.tokens(ModuleTree.EMBEDDING)) != null
            || (update != null && update.isTrained());
    return new DecoderStack(layers, checkpointing, inputTrained, extents);
  }

  private Attention attention(int index) {
    String layer = ModuleTree.layer(index);
    String path = layer + ".self_attn";
    return new Attention(
        index,
        new Attention.Heads(config.heads(), config.keyValueHeads(), config.headSize()),
        new AttentionOps.Config(
            config.attentionScale(),
            config.layers().get(index).window(),
            config.attentionSoftcap()),
        new Attention.Norms(
            norm(layer + ".input_layernorm"),
            config.queryKeyNorm() ? norm(path + ".q_norm") : null,
            config.queryKeyNorm() ? norm(path + ".k_norm") : null),
        new Attention.Linears(
            group(index, path + ".q_proj", path + ".k_proj", path + ".v_proj"),
            group(index, path + ".o_proj")));
  }

  private Mlp mlp(int index) {
    String layer = ModuleTree.layer(index);
    return new Mlp(
        index,
        norm(layer + ".post_attention_layernorm"),
        group(index, layer + ".mlp.gate_proj", layer + ".mlp.up_proj"),
        group(index, layer + ".mlp.down_proj"),
        config.activation());
  }

  private RmsNorm norm(String path) {
    String name = path + ".weight";
    return new RmsNorm(tensor(name), gradient(name), config.normEpsilon(), config.normOffset());
  }

  private LinearGroup group(int layer, String... paths) {
    List<Linear> linears = Arrays.stream(paths).map(this::linear).toList();
    return new LinearGroup(decoded.keep(layer, linears));
  }

  private Linear linear(String path) {
    ModuleTree.Linear shape = linears.get(path);
    if (shape == null) {
      throw new IllegalStateException("no linear layer " + path);
    }
    String bias = path + ".bias";
    Tensor biasTensor = shape.bias() ? tensor(bias) : null;
    LoraModule module = training.adapters().get(path);
    Weight weight = weight(path);
    Projection.Gradients gradients =
        new Projection.Gradients(
            gradient(path + ".weight"),
            shape.bias() ? gradient(bias) : null,
            module == null ? null : gradient(ModuleTree.loraA(path)),
            module == null ? null : gradient(ModuleTree.loraB(path)));
    Projection forTraining = new Projection(weight, biasTensor, lora(path, module, true));
    return new Linear(
        path,
        forTraining,
        new Projection(weight, biasTensor, lora(path, module, false)),
        gradients,
        module != null && module.adapted().weightDecomposed()
            ? decomposed(path, forTraining, gradients)
            : null);
  }

  private DoraLinear decomposed(
      String path, Projection projection, Projection.Gradients gradients) {
    Parameter magnitude = parameters.named(ModuleTree.loraMagnitude(path));
    Tensor inverseNorm = tables.allocate(DType.F32, magnitude.shape());
    DoraLinear linear =
        new DoraLinear(
            path,
            projection,
            gradients,
            new DoraLinear.Magnitude(magnitude.master(), magnitude.gradient(), inverseNorm));
    decomposed.add(linear);
    return linear;
  }

  /// The weight-decomposed layers of [#stack].
  List<DoraLinear> decomposed() {
    return List.copyOf(decomposed);
  }

  private Projection.@Nullable Lora lora(
      String path, @Nullable LoraModule module, boolean withDropout) {
    if (module == null) {
      return null;
    }
    LoraConfig.Adapted adapted = module.adapted();
    Dropout dropout = null;
    Integer stream = streams.get(path);
    if (withDropout && adapted.dropout() > 0 && stream != null) {
      dropout = new Dropout((float) adapted.dropout(), stream, dropoutState);
    }
    return new Projection.Lora(
        parameters.named(ModuleTree.loraA(path)).compute(),
        parameters.named(ModuleTree.loraB(path)).compute(),
        (float) adapted.scale(),
        dropout);
  }

  Head head(Options options) {
    String saved = training.replaced().parameter(ModuleTree.HEAD);
    String name = saved != null ? saved : headName();
    return new Head(
        norm(ModuleTree.FINAL_NORM),
        headWeight(saved),
        gradient(name),
        rows(config.tiedEmbeddings() && saved == null ? ModuleTree.EMBEDDING : ModuleTree.HEAD),
        headUpdate(),
        Head.lossConfig(config, options));
  }

  private @Nullable HeadUpdate headUpdate() {
    Projection.Lora lora = lora(ModuleTree.HEAD, training.adapters().get(ModuleTree.HEAD), true);
    return lora == null
        ? null
        : new HeadUpdate(
            lora,
            gradient(ModuleTree.loraA(ModuleTree.HEAD)),
            gradient(ModuleTree.loraB(ModuleTree.HEAD)));
  }

  private @Nullable EmbeddingUpdate embeddingUpdate() {
    Projection.Lora lora =
        lora(ModuleTree.EMBEDDING, training.adapters().get(ModuleTree.EMBEDDING), false);
    return lora == null
        ? null
        : new EmbeddingUpdate(
            lora.a(),
            lora.b(),
            lora.scale(),
            gradient(ModuleTree.loraA(ModuleTree.EMBEDDING)),
            gradient(ModuleTree.loraB(ModuleTree.EMBEDDING)));
  }

  private Weight headWeight(@Nullable String saved) {
    if (saved != null) {
      return new Weight.Dense(parameters.named(saved).compute());
    }
    // A tied head is the base model's embedding, whether or not that is still the embedding.
    return config.tiedEmbeddings()
        ? new Weight.Dense(tensor(ModuleTree.EMBEDDING + ".weight"))
        : weight(ModuleTree.HEAD);
  }

  private String headName() {
    return (config.tiedEmbeddings() ? ModuleTree.EMBEDDING : ModuleTree.HEAD) + ".weight";
  }

  Embedding embedding(Options options) {
    return new Embedding(
        tensor(embeddingName()),
        gradient(embeddingName()),
        rows(ModuleTree.EMBEDDING),
        embeddingUpdate(),
        config.embeddingScale(),
        config.padTokenId(),
        options.neftuneAlpha(),
        new Dropout(0, 0, dropoutState));
  }

  /// The rows of the embedding, or of an untied head, that are trained by themselves.
  private @Nullable TokenRows rows(String path) {
    TrainedTokens.Rows rows = training.rows().modules().get(path);
    if (rows == null) {
      return null;
    }
    Tensor table =
        path.equals(ModuleTree.EMBEDDING)
            ? weights.tensor(ModuleTree.EMBEDDING + ".weight")
            : weights.linear(path) instanceof Weight.Dense head
                ? head.tensor()
                : refuseQuantisedRows();
    return new TokenRows(rows, table, parameters.named(ModuleTree.tokens(path)));
  }

  private static Tensor refuseQuantisedRows() {
    throw new InputException(
        "lm_head is quantised and its rows cannot be trained; leave it out of trainable_token_indices or load a checkpoint that keeps it in 16 bit");
  }

  private String embeddingName() {
    String saved = training.replaced().parameter(ModuleTree.EMBEDDING);
    return saved != null ? saved : ModuleTree.EMBEDDING + ".weight";
  }

  private Weight weight(String path) {
    return training instanceof Training.Full
        ? new Weight.Dense(parameters.named(path + ".weight").compute())
        : weights.linear(path);
  }

  private Tensor tensor(String name) {
    Parameter parameter = parameters.find(name);
    return parameter == null ? weights.tensor(name) : parameter.compute();
  }

  /// Where the gradient of a parameter goes; null if the model does not train it.
  private @Nullable Tensor gradient(String name) {
    Parameter parameter = parameters.find(name);
    return parameter == null ? null : parameter.gradient();
  }
}
