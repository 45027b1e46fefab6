package dev.gatun.io;

import dev.gatun.InputException;
import dev.gatun.UnsupportedException;
import dev.gatun.model.ModelConfig;
import dev.gatun.model.ModelConfig.Layer;
import dev.gatun.model.ModelConfig.Quantization;
import dev.gatun.op.MlpOps.Activation;
import dev.gatun.tensor.DType;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Reads `config.json` of the supported families, in the spelling of transformers 5 (`dtype`,
/// `rope_parameters`) or 4 (`torch_dtype`, `rope_theta`, `rope_scaling`). An absent key has the
/// default that transformers gives it, except for the sizes of the model: those are required.
public final class ModelConfigReader {
  /// Beyond any model; keeps products of two sizes far from overflow.
  private static final int MAX_SIZE = 1 << 24;

  private static final int MAX_LAYERS = 4096;

  private final JsonObject config;
  private final Family family;

  private ModelConfigReader(JsonObject config) {
    this.config = config;
    this.family = Family.of(config);
  }

  /// Reads and validates a configuration.
  ///
  /// @throws InputException naming the file and the key
  /// @throws UnsupportedException if the family, rope type, activation or quantisation is not one
  ///   of this engine's
  public static ModelConfig read(Path file) {
    return new ModelConfigReader(JsonObject.read(file)).model();
  }

  private ModelConfig model() {
    int hidden = size("hidden_size");
    int heads = size("num_attention_heads");
    int layers = config.integer("num_hidden_layers", 1, MAX_LAYERS);
    int keyValueHeads = keyValueHeads(heads);
    int headSize = headSize(hidden, heads);
    int maxPositions =
        orElse(
            config.optionalInteger("max_position_embeddings", 1, Integer.MAX_VALUE),
            family.defaultMaxPositions());
    return new ModelConfig(
        family.modelType(),
        architecture(),
        size("vocab_size"),
        hidden,
        size("intermediate_size"),
        heads,
        keyValueHeads,
        headSize,
        layers(layers),
        activation(),
        normEpsilon(),
        0,
        family.queryKeyNorm(),
        family.biases().of(config),
        RopeReader.read(config, headSize, maxPositions),
        (float) (1 / Math.sqrt(headSize)),
        1,
        1,
        0,
        0,
        maxPositions,
        config.flag("tie_word_embeddings", false),
        dtype(),
        tokenId("bos_token_id", family.defaultBosTokenId()),
        eosTokenIds(),
        tokenId("pad_token_id", null),
        quantization());
  }

  private int size(String key) {
    return config.integer(key, 1, MAX_SIZE);
  }

  private String architecture() {
    List<String> names = config.strings("architectures");
    return names.isEmpty() ? family.modelType() : names.getFirst();
  }

  private int keyValueHeads(int heads) {
    String key = "num_key_value_heads";
    Integer familyDefault = config.mentions(key) ? null : family.defaultKeyValueHeads();
    int absent = familyDefault == null ? heads : familyDefault;
    int count = orElse(config.optionalInteger(key, 1, MAX_SIZE), absent);
    if (heads % count != 0) {
      throw config.bad(
          key, "is %d, which does not divide num_attention_heads %d".formatted(count, heads));
    }
    return count;
  }

  private int headSize(int hidden, int heads) {
    Integer familyDefault = config.mentions("head_dim") ? null : family.defaultHeadSize();
    Integer explicit = config.optionalInteger("head_dim", 1, MAX_SIZE);
    if (explicit == null && familyDefault == null && hidden % heads != 0) {
      throw config.bad(
          "num_attention_heads",
          "is %d, which does not divide hidden_size %d; set head_dim".formatted(heads, hidden));
    }
    int size = orElse(explicit, orElse(familyDefault, hidden / heads));
    if (size % 2 != 0) {
      throw config.bad(
          "head_dim", "is %d, but rotary embeddings need an even size".formatted(size));
    }
    if ((long) size * heads > MAX_SIZE) {
      throw config.bad("head_dim", "times num_attention_heads is larger than " + MAX_SIZE);
    }
    return size;
  }

  private List<Layer> layers(int count) {
    List<String> types = config.strings("layer_types");
    if (config.isArray("layer_types") && types.size() != count) {
      throw config.bad(
          "layer_types", "has %d entries for num_hidden_layers %d".formatted(types.size(), count));
    }
    int window = orElse(config.optionalInteger("sliding_window", 0, Integer.MAX_VALUE), 0);
    if (!config.mentions("sliding_window")) {
      window = 4096;
    }
    return switch (family.windows()) {
      case NONE -> Collections.nCopies(count, new Layer(0));
      case EVERY_LAYER -> Collections.nCopies(count, new Layer(window));
      case BY_LAYER_TYPE ->
          layersByType(count, types, config.flag("use_sliding_window", false) ? window : 0);
    };
  }

  private List<Layer> layersByType(int count, List<String> types, int window) {
    int full = orElse(config.optionalInteger("max_window_layers", 0, Integer.MAX_VALUE), 28);
    List<Layer> layers = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      boolean sliding = types.isEmpty() ? window > 0 && i >= full : isSliding(types.get(i));
      if (sliding && window == 0) {
        throw config.bad(
            "layer_types",
            "makes layer %d sliding_attention, but no sliding_window is in use".formatted(i));
      }
      layers.add(new Layer(sliding ? window : 0));
    }
    return layers;
  }

  private boolean isSliding(String type) {
    return switch (type) {
      case "full_attention" -> false;
      case "sliding_attention" -> true;
      default ->
          throw new UnsupportedException(
              "%s holds %s, a layer type that is not supported"
                  .formatted(config.where("layer_types"), Quoted.of(type)));
    };
  }

  private Activation activation() {
    String name = config.optionalString("hidden_act");
    return switch (name == null ? "silu" : name) {
      case "silu", "swish" -> Activation.SILU;
      case "gelu" -> Activation.GELU;
      case "gelu_pytorch_tanh", "gelu_new" -> Activation.GELU_TANH;
      default ->
          throw new UnsupportedException(
              "%s is %s, an activation that is not supported; supported are silu, gelu, gelu_pytorch_tanh"
                  .formatted(config.where("hidden_act"), Quoted.of(String.valueOf(name))));
    };
  }

  private float normEpsilon() {
    Double epsilon = config.optionalNumber("rms_norm_eps");
    if (epsilon != null && (epsilon < 0 || epsilon > 1)) {
      throw config.bad("rms_norm_eps", "is %s, not from 0 to 1".formatted(epsilon));
    }
    return epsilon == null ? 1e-6f : epsilon.floatValue();
  }

  private DType dtype() {
    String key = config.has("dtype") ? "dtype" : "torch_dtype";
    String name = config.optionalString(key);
    return name == null ? DType.F32 : TorchTypes.parse(name, config.where(key));
  }

  private @Nullable Integer tokenId(String key, @Nullable Integer absent) {
    Integer id = config.mentions(key) ? config.optionalInteger(key, -1, MAX_SIZE) : absent;
    return id == null || id < 0 ? null : id;
  }

  private List<Integer> eosTokenIds() {
    if (config.isArray("eos_token_id")) {
      return config.integers("eos_token_id", 0, MAX_SIZE);
    }
    Integer id = tokenId("eos_token_id", family.defaultEosTokenId());
    return id == null ? List.of() : List.of(id);
  }

  private @Nullable Quantization quantization() {
    JsonObject settings = config.object("quantization_config");
    if (settings == null) {
      return null;
    }
    String method = settings.optionalString("quant_method");
    if (!(method == null || method.equals("bitsandbytes"))
        || !settings.flag("load_in_4bit", false)) {
      throw new UnsupportedException(
          "%s asks for %s; of quantised checkpoints only bitsandbytes' 4-bit ones are supported"
              .formatted(
                  config.where("quantization_config"),
                  method == null ? "something other than load_in_4bit" : Quoted.of(method)));
    }
    String type = settings.optionalString("bnb_4bit_quant_type");
    String computeType = settings.optionalString("bnb_4bit_compute_dtype");
    return new Quantization(
        type == null ? "fp4" : type,
        settings.flag("bnb_4bit_use_double_quant", false),
        computeType == null
            ? DType.F32
            : TorchTypes.parse(computeType, settings.where("bnb_4bit_compute_dtype")),
        settings.strings("llm_int8_skip_modules"));
  }

  private static int orElse(@Nullable Integer value, int absent) {
    return value == null ? absent : value;
  }
}
