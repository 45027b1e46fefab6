package dev.gatun.io;

import dev.gatun.FailureException;
import dev.gatun.InputException;
import dev.gatun.UnsupportedException;
import dev.gatun.io.PeftAdapter.LowRank;
import dev.gatun.model.LoraConfig;
import dev.gatun.model.ParameterLayout;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/// Reads and writes the directory of a PEFT adapter: `adapter_config.json` and
/// `adapter_model.safetensors`.
public final class AdapterFiles {
  /// Name of the configuration file.
  public static final String CONFIG = "adapter_config.json";

  /// Name of the tensor file.
  public static final String TENSORS = "adapter_model.safetensors";

  private static final String PREFIX = "base_model.model.";
  private static final String A = ".lora_A.weight";
  private static final String B = ".lora_B.weight";
  private static final String MAGNITUDE = ".lora_magnitude_vector";
  private static final String EMBEDDING_A = ".lora_embedding_A";
  private static final String EMBEDDING_B = ".lora_embedding_B";
  private static final String BASE = ".base_layer.weight";
  private static final String WEIGHT = ".weight";
  private static final String EMBEDDING = "model.embed_tokens";
  private static final Set<String> TIED = Set.of(EMBEDDING, ParameterLayout.HEAD);

  /// What PEFT's other methods add beside the two factors.
  private static final Pattern OTHER_METHOD =
      Pattern.compile(
          ".*\\.(lora_embedding_[AB]|lora_[AB]\\.bias|base_layer\\..*|token_adapter\\..*)");

  private static final String TOKENS = ".token_adapter.trainable_tokens_delta";

  private AdapterFiles() {}

  /// Reads an adapter into host memory; nothing stays open.
  ///
  /// @throws InputException naming file and key or tensor: something is missing, left over, or of
  ///   the wrong rank
  /// @throws UnsupportedException if it is not a plain LoRA adapter of linear layers
  public static PeftAdapter read(Path directory) {
    if (!Files.isDirectory(directory)) {
      throw new InputException(
          "%s is not a directory: give the folder of an adapter".formatted(directory));
    }
    JsonObject json = JsonObject.read(directory.resolve(CONFIG));
    LoraConfig config = AdapterConfigFile.read(json);
    try (SafeTensors file = SafeTensors.open(directory.resolve(TENSORS))) {
      return new PeftAdapter(
          config,
          json.optionalString("base_model_name_or_path"),
          modules(file, config),
          saved(file, config),
          tokens(file, config),
          baseCopies(file));
    }
  }

  private static Map<String, LowRank> modules(SafeTensors file, LoraConfig config) {
    Map<String, LowRank> modules = new LinkedHashMap<>();
    for (String name : file.names()) {
      if (savedModule(name, config) != null
          || baseCopy(file, name) != null
          || tokenModule(name, config) != null
          || isMagnitude(file, name, config)) {
        continue;
      }
      String module = module(file, name);
      boolean first = name.equals(nameOfA(module));
      String partner = first ? nameOfB(module) : nameOfA(module);
      if (!file.contains(partner)) {
        throw new InputException(
            "%s holds tensor %s but not %s"
                .formatted(file.path(), Quoted.of(name), Quoted.of(partner)));
      }
      if (first) {
        int rank = config.adapted(module).rank();
        modules.put(
            module,
            new LowRank(
                factor(file, name, 0, rank),
                factor(file, partner, 1, rank),
                magnitude(file, module, config)));
      }
    }
    if (modules.isEmpty()) {
      throw new InputException("%s holds no LoRA tensors".formatted(file.path()));
    }
    return modules;
  }

  private static String nameOfA(String module) {
    return PREFIX + module + (module.equals(EMBEDDING) ? EMBEDDING_A : A);
  }

  private static String nameOfB(String module) {
    return PREFIX + module + (module.equals(EMBEDDING) ? EMBEDDING_B : B);
  }

  /// The module whose base weight a tensor repeats, or null: PEFT writes those of an adapted
  /// embedding and head.
  private static @Nullable String baseCopy(SafeTensors file, String name) {
    return TIED.stream()
        .filter(module -> name.equals(PREFIX + module + BASE) && file.contains(nameOfA(module)))
        .findFirst()
        .orElse(null);
  }

  private static Map<String, Tensor> baseCopies(SafeTensors file) {
    Map<String, Tensor> copies = new LinkedHashMap<>();
    for (String name : file.names()) {
      String module = baseCopy(file, name);
      if (module != null) {
        copies.put(module, matrix(file, name));
      }
    }
    return copies;
  }

  /// Whether a tensor is the magnitudes of an update that is there.
  private static boolean isMagnitude(SafeTensors file, String name, LoraConfig config) {
    if (!name.endsWith(MAGNITUDE)) {
      return false;
    }
    String update = name.substring(0, name.length() - MAGNITUDE.length()) + A;
    if (!config.weightDecomposed() || !file.contains(update)) {
      throw new InputException(
          "%s holds tensor %s, but %s"
              .formatted(
                  file.path(),
                  Quoted.of(name),
                  config.weightDecomposed()
                      ? "not " + Quoted.of(update)
                      : "use_dora is not set in " + CONFIG));
    }
    return true;
  }

  private static @Nullable Tensor magnitude(SafeTensors file, String module, LoraConfig config) {
    if (!config.weightDecomposed()) {
      return null;
    }
    String name = PREFIX + module + MAGNITUDE;
    if (!file.contains(name)) {
      throw new InputException(
          "%s holds the update of %s but not its magnitudes, tensor %s, which use_dora in %s asks for"
              .formatted(file.path(), Quoted.of(module), Quoted.of(name), CONFIG));
    }
    Tensor stored = file.tensor(name);
    long out = file.tensor(PREFIX + module + B).shape().dim(0);
    if (!stored.dtype().isFloating() || !stored.shape().equals(Shape.of(out))) {
      throw new InputException(
          "%s: tensor %s is %s %s, not one floating value for each of %d outputs"
              .formatted(file.path(), Quoted.of(name), stored.dtype(), stored.shape(), out));
    }
    return Tensor.ofFloats(stored.shape(), stored.toFloats());
  }

  /// The embedding or head whose rows a tensor holds, or null if it holds none that the
  /// configuration names.
  private static @Nullable String tokenModule(String name, LoraConfig config) {
    return TIED.stream()
        .filter(module ->
            name.equals(PREFIX + module + TOKENS)
                && config.tokenIndices().keySet().stream().anyMatch(module::endsWith))
        .findFirst()
        .orElse(null);
  }

  /// The rows of `trainable_token_indices`: the rows themselves, not what was added to them.
  private static Map<String, Tensor> tokens(SafeTensors file, LoraConfig config) {
    Map<String, Tensor> rows = new LinkedHashMap<>();
    for (String name : file.names()) {
      String module = tokenModule(name, config);
      if (module != null) {
        rows.put(module, matrix(file, name));
      }
    }
    return rows;
  }

  /// The weights of `modules_to_save`.
  private static Map<String, Tensor> saved(SafeTensors file, LoraConfig config) {
    Map<String, Tensor> saved = new LinkedHashMap<>();
    for (String name : file.names()) {
      String module = savedModule(name, config);
      if (module != null) {
        saved.put(module, matrix(file, name));
      }
    }
    for (String name : config.modulesToSave()) {
      if (saved.keySet().stream().noneMatch(module -> module.endsWith(name))) {
        throw new InputException(
            "%s holds no tensor for %s, which modules_to_save names"
                .formatted(file.path(), Quoted.of(name)));
      }
    }
    return saved;
  }

  /// The module trained whole that a tensor belongs to, or null if it is none. Where the embedding
  /// and the head stay tied, PEFT writes both.
  private static @Nullable String savedModule(String name, LoraConfig config) {
    if (!name.startsWith(PREFIX) || !name.endsWith(WEIGHT)) {
      return null;
    }
    String module =
        name.substring(PREFIX.length(), Math.max(PREFIX.length(), name.length() - WEIGHT.length()));
    boolean tied =
        config.ensureWeightTying() && !config.modulesToSave().isEmpty() && TIED.contains(module);
    return config.saves(module) || tied ? module : null;
  }

  private static String module(SafeTensors file, String name) {
    for (String suffix : List.of(A, B, EMBEDDING_A, EMBEDDING_B)) {
      if (name.startsWith(PREFIX) && name.endsWith(suffix)) {
        String module =
            name.substring(
                PREFIX.length(), Math.max(PREFIX.length(), name.length() - suffix.length()));
        if (name.equals(nameOfA(module)) || name.equals(nameOfB(module))) {
          return module;
        }
      }
    }
    Matcher other = OTHER_METHOD.matcher(name);
    if (other.matches()) {
      throw new UnsupportedException(
          "%s: tensor %s belongs to an adapter method that is not supported; only LoRA and DoRA of linear layers, and LoRA of embed_tokens and lm_head, are"
              .formatted(file.path(), Quoted.of(name)));
    }
    throw new InputException(
        "%s: tensor %s is no LoRA factor of the form %s<module>%s"
            .formatted(file.path(), Quoted.of(name), PREFIX, A));
  }

  /// An F32 copy of one factor.
  private static Tensor factor(SafeTensors file, String name, int rankDimension, int rank) {
    Tensor stored = matrix(file, name);
    if (stored.shape().dim(rankDimension) != rank) {
      throw new InputException(
          "%s: tensor %s has shape %s, but the configuration gives it rank %d"
              .formatted(file.path(), Quoted.of(name), stored.shape(), rank));
    }
    return stored;
  }

  /// An F32 copy of a matrix.
  private static Tensor matrix(SafeTensors file, String name) {
    Tensor stored = file.tensor(name);
    if (!stored.dtype().isFloating()
        || stored.shape().rank() != 2
        || stored.count() > Integer.MAX_VALUE) {
      throw new InputException(
          "%s: tensor %s is %s %s, not a floating matrix of a usable size"
              .formatted(file.path(), Quoted.of(name), stored.dtype(), stored.shape()));
    }
    return Tensor.ofFloats(stored.shape(), stored.toFloats());
  }

  /// The name under which PEFT stores a parameter of an adapter.
  public static String storedName(String parameter) {
    return parameter
        .replace(".modules_to_save" + WEIGHT, WEIGHT)
        .replace(MAGNITUDE + WEIGHT, MAGNITUDE);
  }

  /// Writes an adapter that PEFT loads, each file atomically, the tensors first: a configuration is
  /// never without them.
  ///
  /// @param adapter its tensors in host memory
  /// @throws FailureException if a file cannot be written
  public static void write(Path directory, PeftAdapter adapter) {
    Map<String, Tensor> tensors = new TreeMap<>();
    adapter
        .modules()
        .forEach((module, update) -> {
          tensors.put(nameOfA(module), update.a());
          tensors.put(nameOfB(module), update.b());
          if (update.magnitude() != null) {
            tensors.put(PREFIX + module + MAGNITUDE, update.magnitude());
          }
        });
    adapter.tokens().forEach((module, rows) -> tensors.put(PREFIX + module + TOKENS, rows));
    adapter.saved().forEach((module, weight) -> tensors.put(PREFIX + module + WEIGHT, weight));
    SafeTensorsWriter.write(directory.resolve(TENSORS), tensors, Map.of("format", "pt"));
    AtomicFiles.writeText(
        directory.resolve(CONFIG), PythonJson.format(AdapterConfigWriter.fields(adapter)));
  }
}
