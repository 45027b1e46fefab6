package dev.gatun.train;

import dev.gatun.model.LoraConfig;
import dev.gatun.model.LoraConfig.Initialization;
import dev.gatun.model.LoraConfig.Modules;
import dev.gatun.model.LoraConfig.Modules.Names;
import dev.gatun.model.LoraConfigBuilder;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/// The keys of the adapter. One of the layers of [SftConfigBuilder], which has all keys.
public abstract sealed class AdapterSettings extends RunSettings permits SftConfigBuilder {
  private boolean usePeft = true;
  private final LoraConfigBuilder lora =
      LoraConfig.builder(new Names(List.of("q_proj", "v_proj"))).rank(16).alpha(32).dropout(0.05);

  AdapterSettings() {}

  public SftConfigBuilder usePeft(boolean value) {
    usePeft = value;
    return self();
  }

  public SftConfigBuilder loraR(int value) {
    lora.rank(value);
    return self();
  }

  public SftConfigBuilder loraAlpha(double value) {
    lora.alpha(value);
    return self();
  }

  public SftConfigBuilder loraDropout(double value) {
    lora.dropout(value);
    return self();
  }

  public SftConfigBuilder useRslora(boolean value) {
    lora.rankStabilized(value);
    return self();
  }

  public SftConfigBuilder useDora(boolean value) {
    lora.weightDecomposed(value);
    return self();
  }

  public SftConfigBuilder loraTargetModules(Modules value) {
    lora.targets(value);
    return self();
  }

  public SftConfigBuilder excludeModules(@Nullable Modules value) {
    lora.excludeModules(value);
    return self();
  }

  public SftConfigBuilder layersToTransform(List<Integer> value) {
    lora.layersToTransform(value);
    return self();
  }

  public SftConfigBuilder layersPattern(List<String> value) {
    lora.layersPattern(value);
    return self();
  }

  public SftConfigBuilder rankPattern(Map<String, Integer> value) {
    lora.rankPattern(value);
    return self();
  }

  public SftConfigBuilder alphaPattern(Map<String, Double> value) {
    lora.alphaPattern(value);
    return self();
  }

  public SftConfigBuilder initLoraWeights(Initialization value) {
    lora.initialization(value);
    return self();
  }

  public SftConfigBuilder modulesToSave(List<String> value) {
    lora.modulesToSave(value);
    return self();
  }

  public SftConfigBuilder ensureWeightTying(boolean value) {
    lora.ensureWeightTying(value);
    return self();
  }

  public SftConfigBuilder trainableTokenIndices(LoraConfig.Tokens value) {
    lora.trainableTokens(value);
    return self();
  }

  /// The adapter that no key describes.
  static LoraConfig defaultLora() {
    return Objects.requireNonNull(new SftConfigBuilder().lora());
  }

  final @Nullable LoraConfig lora() {
    return usePeft ? lora.build() : null;
  }
}
