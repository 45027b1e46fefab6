package dev.gatun.io;

import dev.gatun.FailureException;
import dev.gatun.InputException;
import dev.gatun.model.ModelConfig;
import dev.gatun.model.ParameterLayout;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.jspecify.annotations.Nullable;

/// Writes a checkpoint of random weights for any configuration: a model of the real size without a
/// download. Weights and embeddings are normal with the configuration's `initializer_range`, norms
/// neutral, biases zero. Equal arguments give equal files, whatever the number of threads; memory
/// does not grow with the model.
public final class RandomCheckpoint {
  /// Size of a shard unless asked otherwise, as transformers has it.
  public static final long SHARD_BYTES = 5_000_000_000L;

  private static final double DEFAULT_DEVIATION = 0.02;

  private final JsonObject source;
  private final ModelConfig config;
  private final Settings settings;

  private RandomCheckpoint(Path configFile, Settings settings) {
    this.source = JsonObject.read(configFile);
    this.config = ModelConfigReader.read(configFile);
    this.settings = settings;
  }

  /// @param type of everything that is not quantised, and what is quantised; null for the
  ///   configuration's own
  /// @param nf4 whether the decoder's linear layers are stored as double NF4, as bitsandbytes does
  /// @param shardBytes a file is closed before it grows beyond this
  public record Settings(long seed, @Nullable DType type, boolean nf4, long shardBytes) {}

  /// What was written.
  ///
  /// @param parameters elements of the model
  /// @param bytes of tensors
  public record Summary(ModelConfig config, int files, int tensors, long parameters, long bytes) {}

  /// Writes `config.json` and the tensors into a folder.
  ///
  /// @throws InputException if the configuration cannot be used
  /// @throws FailureException if the disk is too small or cannot be written
  public static Summary write(Path configFile, Path output, Settings settings) {
    return new RandomCheckpoint(configFile, settings).write(output);
  }

  /// Rows of the embedding that a configuration asks for.
  ///
  /// @throws InputException if the configuration cannot be used
  public static int vocabulary(Path configFile) {
    return ModelConfigReader.read(configFile).vocabulary();
  }

  private DType type() {
    return settings.type() == null ? config.dtype() : settings.type();
  }

  private Summary write(Path output) {
    List<List<RandomTensors>> shards = shards(parameters());
    Map<String, Tensor> all = new LinkedHashMap<>();
    shards.forEach(shard -> shard.forEach(parameter -> all.putAll(parameter.stored())));
    long bytes = all.values().stream().mapToLong(Tensor::byteSize).sum();
    requireSpace(output, bytes);
    Map<String, Object> weightMap = new TreeMap<>();
    int threads = Runtime.getRuntime().availableProcessors();
    try (ExecutorService pool = Executors.newFixedThreadPool(threads)) {
      for (int i = 0; i < shards.size(); i++) {
        String name = fileName(i, shards.size());
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        List<ShardFile.Task> tasks = new ArrayList<>();
        for (RandomTensors parameter : shards.get(i)) {
          tensors.putAll(parameter.stored());
          tasks.addAll(parameter.tasks());
        }
        ShardFile.write(output.resolve(name), tensors, tasks, pool);
        tensors.keySet().forEach(tensor -> weightMap.put(tensor, name));
      }
    }
    if (shards.size() > 1) {
      Map<String, Object> index = new LinkedHashMap<>();
      index.put("metadata", Map.of("total_size", bytes));
      index.put("weight_map", weightMap);
      AtomicFiles.writeText(
          output.resolve("model.safetensors.index.json"), PythonJson.format(index) + "\n");
    }
    AtomicFiles.writeText(output.resolve("config.json"), PythonJson.format(configuration()));
    return new Summary(config, shards.size(), all.size(), parameterCount(), bytes);
  }

  private static String fileName(int index, int count) {
    return count == 1
        ? "model.safetensors"
        : "model-%05d-of-%05d.safetensors".formatted(index + 1, count);
  }

  /// Embedding first, head last, as a checkpoint of transformers is read.
  private List<RandomTensors> parameters() {
    ParameterLayout layout = ParameterLayout.of(config);
    Double range = source.optionalNumber("initializer_range");
    NormalLevels levels = new NormalLevels(type(), range == null ? DEFAULT_DEVIATION : range);
    List<RandomTensors> parameters = new ArrayList<>();
    layout.tensors().forEach((name, shape) -> parameters.add(tensor(name, shape, levels)));
    layout
        .linears()
        .forEach((path, shape) -> {
          String name = path + ".weight";
          boolean packed = settings.nf4() && !path.equals(ParameterLayout.HEAD);
          parameters.add(
              packed
                  ? new RandomTensors.Packed(name, type(), shape, levels, settings.seed())
                  : new RandomTensors.Normal(name, type(), shape, levels, settings.seed()));
        });
    return parameters;
  }

  private RandomTensors tensor(String name, Shape shape, NormalLevels levels) {
    if (name.equals(ParameterLayout.EMBEDDING)) {
      return new RandomTensors.Normal(name, type(), shape, levels, settings.seed());
    }
    // A norm multiplies by offset + weight: both conventions start out neutral.
    float value = name.endsWith(".bias") ? 0 : 1 - config.normOffset();
    return new RandomTensors.Constant(name, type(), shape, value);
  }

  private List<List<RandomTensors>> shards(List<RandomTensors> parameters) {
    List<List<RandomTensors>> shards = new ArrayList<>();
    long used = Long.MAX_VALUE;
    for (RandomTensors parameter : parameters) {
      long bytes = parameter.stored().values().stream().mapToLong(Tensor::byteSize).sum();
      if (used > settings.shardBytes() - bytes) {
        shards.add(new ArrayList<>());
        used = 0;
      }
      shards.getLast().add(parameter);
      used += bytes;
    }
    return shards;
  }

  private long parameterCount() {
    ParameterLayout layout = ParameterLayout.of(config);
    return layout.tensors().values().stream().mapToLong(Shape::count).sum()
        + layout.linears().values().stream().mapToLong(Shape::count).sum();
  }

  /// The configuration that was given, with this checkpoint's type and quantisation.
  private Map<String, @Nullable Object> configuration() {
    Map<String, @Nullable Object> values = source.toMap();
    values.remove("quantization_config");
    values.put(values.containsKey("torch_dtype") ? "torch_dtype" : "dtype", typeName());
    if (settings.nf4()) {
      Map<String, @Nullable Object> quantization = new LinkedHashMap<>();
      quantization.put("_load_in_4bit", true);
      quantization.put("_load_in_8bit", false);
      quantization.put("bnb_4bit_compute_dtype", typeName());
      quantization.put("bnb_4bit_quant_storage", "uint8");
      quantization.put("bnb_4bit_quant_type", "nf4");
      quantization.put("bnb_4bit_use_double_quant", true);
      quantization.put("llm_int8_enable_fp32_cpu_offload", false);
      quantization.put("llm_int8_has_fp16_weight", false);
      quantization.put("llm_int8_skip_modules", null);
      quantization.put("llm_int8_threshold", 6.0);
      quantization.put("load_in_4bit", true);
      quantization.put("load_in_8bit", false);
      quantization.put("quant_method", "bitsandbytes");
      values.put("quantization_config", quantization);
    }
    return values;
  }

  private String typeName() {
    return TorchTypes.name(type());
  }

  private static void requireSpace(Path output, long bytes) {
    try {
      Files.createDirectories(output);
      long usable = Files.getFileStore(output).getUsableSpace();
      if (usable < bytes) {
        throw new FailureException(
            "%s has room for %.1f GB and the checkpoint takes %.1f GB; free some space, choose another folder, or quantise it"
                .formatted(output, usable / 1e9, bytes / 1e9));
      }
    } catch (IOException e) {
      throw new FailureException("%s cannot be written: %s".formatted(output, Quoted.reason(e)), e);
    }
  }
}
