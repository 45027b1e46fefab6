package dev.gatun.io;

import dev.gatun.model.LoraConfig;
import dev.gatun.model.LoraConfig.Modules;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/// The fields of `adapter_config.json`: all that PEFT 0.21 writes, sorted, so that it and the
/// servers that read its files find what they expect.
final class AdapterConfigWriter {
  private static final List<String> NULL =
      List.of(
          "alora_invocation_tokens",
          "arrow_config",
          "auto_mapping",
          "corda_config",
          "eva_config",
          "kasa_config",
          "layer_replication",
          "lora_ga_config",
          "megatron_config",
          "monteclora_config",
          "revision",
          "target_parameters",
          "use_bdlora",
          "velora_config");
  private static final List<String> FALSE = List.of("fan_in_fan_out", "lora_bias", "use_qalora");

  private AdapterConfigWriter() {}

  static SortedMap<String, @Nullable Object> fields(PeftAdapter adapter) {
    LoraConfig config = adapter.config();
    SortedMap<String, @Nullable Object> fields = new TreeMap<>();
    NULL.forEach(key -> fields.put(key, null));
    FALSE.forEach(key -> fields.put(key, false));
    fields.put("alpha_pattern", alphaPattern(config.alphaPattern()));
    fields.put("base_model_name_or_path", adapter.baseModel());
    fields.put("bias", "none");
    fields.put("ensure_weight_tying", config.ensureWeightTying());
    fields.put("exclude_modules", modules(config.excludeModules(), adapter));
    fields.put("inference_mode", true);
    fields.put(
        "init_lora_weights",
        switch (config.initialization()) {
          // PEFT would take the base apart again when it loads the adapter.
          case KAIMING_UNIFORM, PISSA, LOFTQ -> true;
          case GAUSSIAN -> "gaussian";
          case ORTHOGONAL -> "orthogonal";
          case UNIFORM -> false;
        });
    fields.put("layers_pattern", nullIfEmpty(config.layersPattern()));
    fields.put("layers_to_transform", nullIfEmpty(config.layersToTransform()));
    fields.put("loftq_config", Map.of());
    fields.put("lora_alpha", integerIfWhole(config.alpha()));
    fields.put("lora_dropout", config.dropout());
    fields.put("megatron_core", "megatron.core");
    fields.put("modules_to_save", nullIfEmpty(config.modulesToSave()));
    fields.put("peft_type", "LORA");
    fields.put("peft_version", "0.21.0");
    fields.put("qalora_group_size", 16);
    fields.put("r", config.rank());
    fields.put("rank_pattern", new TreeMap<>(config.rankPattern()));
    fields.put("target_modules", modules(config.targets(), adapter));
    fields.put("task_type", "CAUSAL_LM");
    Map<String, List<Integer>> tokens = config.tokenIndices();
    fields.put("trainable_token_indices", tokens.isEmpty() ? null : tokens);
    fields.put("use_dora", config.weightDecomposed());
    fields.put("use_rslora", config.rankStabilized());
    return fields;
  }

  private static @Nullable Object modules(@Nullable Modules modules, PeftAdapter adapter) {
    return switch (modules) {
      case null -> null;
      case Modules.Names(List<String> names) -> new TreeSet<>(names);
      case Modules.Pattern(String regex) -> regex;
      // A reader without the model cannot expand it, so PEFT saves the names.
      case Modules.AllLinear() -> lastComponents(adapter.modules().keySet());
    };
  }

  private static SortedSet<String> lastComponents(Iterable<String> paths) {
    SortedSet<String> names = new TreeSet<>();
    paths.forEach(path -> names.add(path.substring(path.lastIndexOf('.') + 1)));
    return names;
  }

  private static SortedMap<String, Object> alphaPattern(Map<String, Double> alphas) {
    SortedMap<String, Object> fields = new TreeMap<>();
    alphas.forEach((key, alpha) -> fields.put(key, integerIfWhole(alpha)));
    return fields;
  }

  private static @Nullable Object nullIfEmpty(List<?> list) {
    return list.isEmpty() ? null : list;
  }

  /// PEFT keeps the type it was given, and alpha is nearly always given as an integer.
  private static Object integerIfWhole(double value) {
    return value == Math.rint(value) && Math.abs(value) < 1e15 ? (Object) (long) value : value;
  }
}
