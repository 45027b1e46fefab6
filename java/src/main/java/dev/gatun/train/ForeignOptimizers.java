package dev.gatun.train;

import dev.gatun.InputException;
import dev.gatun.train.SftConfig.OptimizerName;
import java.util.Locale;
import java.util.Map;

/// transformers' optimisers that this engine lacks, each with the one that comes nearest to it in
/// kind and in memory.
final class ForeignOptimizers {
  /// Every member of transformers' `OptimizerNames` that is none of [OptimizerName], and former and
  /// shorter names of AdamW.
  static final Map<String, OptimizerName> NEAREST =
      Map.ofEntries(
          Map.entry("adamw_torch_xla", OptimizerName.ADAMW_TORCH),
          Map.entry("adamw_torch_npu_fused", OptimizerName.ADAMW_TORCH_FUSED),
          Map.entry("adam", OptimizerName.ADAMW_TORCH),
          Map.entry("adamw", OptimizerName.ADAMW_TORCH),
          Map.entry("adamw_hf", OptimizerName.ADAMW_TORCH),
          Map.entry("adamw_apex_fused", OptimizerName.ADAMW_TORCH_FUSED),
          Map.entry("adamw_anyprecision", OptimizerName.ADAMW_TORCH),
          Map.entry("adamw_torch_4bit", OptimizerName.ADAMW_8BIT),
          Map.entry("adamw_torch_8bit", OptimizerName.ADAMW_8BIT),
          Map.entry("ademamix", OptimizerName.ADAMW_TORCH),
          Map.entry("ademamix_8bit", OptimizerName.ADAMW_8BIT),
          Map.entry("paged_ademamix_32bit", OptimizerName.PAGED_ADAMW_32BIT),
          Map.entry("paged_ademamix_8bit", OptimizerName.PAGED_ADAMW_8BIT),
          Map.entry("adagrad", OptimizerName.ADAFACTOR),
          Map.entry("rmsprop", OptimizerName.ADAMW_TORCH),
          Map.entry("rmsprop_bnb", OptimizerName.ADAMW_TORCH),
          Map.entry("rmsprop_bnb_32bit", OptimizerName.ADAMW_TORCH),
          Map.entry("rmsprop_bnb_8bit", OptimizerName.ADAMW_8BIT),
          Map.entry("galore_adamw", OptimizerName.ADAMW_TORCH),
          Map.entry("galore_adamw_layerwise", OptimizerName.ADAMW_TORCH),
          Map.entry("galore_adamw_8bit", OptimizerName.ADAMW_8BIT),
          Map.entry("galore_adamw_8bit_layerwise", OptimizerName.ADAMW_8BIT),
          Map.entry("galore_adafactor", OptimizerName.ADAFACTOR),
          Map.entry("galore_adafactor_layerwise", OptimizerName.ADAFACTOR),
          Map.entry("lomo", OptimizerName.SGD),
          Map.entry("adalomo", OptimizerName.ADAFACTOR),
          Map.entry("grokadamw", OptimizerName.ADAMW_TORCH),
          Map.entry("schedule_free_radam", OptimizerName.ADAMW_TORCH),
          Map.entry("schedule_free_adamw", OptimizerName.ADAMW_TORCH),
          Map.entry("schedule_free_sgd", OptimizerName.SGD),
          Map.entry("apollo_adamw", OptimizerName.ADAMW_8BIT),
          Map.entry("apollo_adamw_layerwise", OptimizerName.ADAMW_8BIT),
          Map.entry("stable_adamw", OptimizerName.ADAMW_TORCH));

  private ForeignOptimizers() {}

  /// The names of this engine; the others are refused with the nearest of these.
  static ConfigType<OptimizerName> type() {
    ConfigType<OptimizerName> own = ConfigType.oneOf(OptimizerName.class);
    return new ConfigType<>(
        own.expects(),
        own.choices(),
        value -> {
          refuse(value);
          return own.convert().apply(value);
        },
        own.toYaml());
  }

  private static void refuse(ConfigValue value) {
    if (value instanceof ConfigValue.Scalar scalar && scalar.value() instanceof String name) {
      OptimizerName nearest = NEAREST.get(name);
      if (nearest != null) {
        throw new InputException(
            "%s: optim %s is not supported; the nearest is '%s'"
                .formatted(value.location(), name, nearest.name().toLowerCase(Locale.ROOT)));
      }
    }
  }
}
