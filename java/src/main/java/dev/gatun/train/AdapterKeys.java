package dev.gatun.train;

import dev.gatun.model.LoraConfig;
import java.util.List;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/// The keys of the adapter.
final class AdapterKeys {
  private AdapterKeys() {}

  /// The keys that mean something only with an adapter.
  static List<String> names() {
    ConfigKeyList keys = new ConfigKeyList();
    addTo(keys);
    return keys.all().stream()
        .map(ConfigKey::name)
        .filter(name -> !name.equals("use_peft"))
        .toList();
  }

  static void addTo(ConfigKeyList keys) {
    lora(keys);
  }

  private static void lora(ConfigKeyList keys) {
    keys.key("use_peft", ConfigType.bool(), SftConfigBuilder::usePeft, c -> c.lora() != null);
    keys.key("lora_r", ConfigType.integer(1), SftConfigBuilder::loraR, lora(LoraConfig::rank));
    keys.key(
        "lora_alpha", ConfigType.positive(), SftConfigBuilder::loraAlpha, lora(LoraConfig::alpha));
    keys.key(
        "lora_dropout",
        ConfigType.number(0, 1),
        SftConfigBuilder::loraDropout,
        lora(LoraConfig::dropout));
    keys.key(
        "use_rslora",
        ConfigType.bool(),
        SftConfigBuilder::useRslora,
        lora(LoraConfig::rankStabilized));
    keys.key(
        "use_dora",
        ConfigType.bool(),
        SftConfigBuilder::useDora,
        lora(LoraConfig::weightDecomposed));
    keys.key(
        "lora_target_modules",
        ConfigType.modules(),
        SftConfigBuilder::loraTargetModules,
        lora(LoraConfig::targets));
    keys.nullable(
        "exclude_modules",
        ConfigType.modules(),
        SftConfigBuilder::excludeModules,
        lora(LoraConfig::excludeModules));
    keys.nullable(
        "layers_to_transform",
        ConfigType.list(ConfigType.integer(0)),
        (b, v) -> b.layersToTransform(v == null ? List.of() : v),
        lora(LoraConfig::layersToTransform));
    keys.nullable(
        "layers_pattern",
        ConfigType.list(ConfigType.text()),
        (b, v) -> b.layersPattern(v == null ? List.of() : v),
        lora(LoraConfig::layersPattern));
    keys.key(
        "rank_pattern",
        ConfigType.map(ConfigType.integer(1)),
        SftConfigBuilder::rankPattern,
        lora(LoraConfig::rankPattern));
    keys.key(
        "alpha_pattern",
        ConfigType.map(ConfigType.positive()),
        SftConfigBuilder::alphaPattern,
        lora(LoraConfig::alphaPattern));
    keys.nullable(
        "modules_to_save",
        ConfigType.list(ConfigType.text()),
        (b, v) -> b.modulesToSave(v == null ? List.of() : v),
        lora(LoraConfig::modulesToSave));
    keys.nullable(
        "trainable_token_indices",
        ConfigType.tokens(),
        (b, v) -> b.trainableTokenIndices(v == null ? LoraConfig.Tokens.NONE : v),
        config ->
            config.lora() == null || config.lora().trainableTokens().equals(LoraConfig.Tokens.NONE)
                ? null
                : config.lora().trainableTokens());
    keys.key(
        "ensure_weight_tying",
        ConfigType.bool(),
        SftConfigBuilder::ensureWeightTying,
        lora(LoraConfig::ensureWeightTying));
    keys.key(
        "init_lora_weights",
        ConfigType.initialization(),
        SftConfigBuilder::initLoraWeights,
        lora(LoraConfig::initialization));
  }

  private static <T> Function<SftConfig, @Nullable T> lora(Function<LoraConfig, @Nullable T> get) {
    return config -> config.lora() == null ? null : get.apply(config.lora());
  }
}
