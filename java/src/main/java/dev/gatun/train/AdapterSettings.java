package dev.gatun.train;

import dev.gatun.model.LoraConfig;
import dev.gatun.model.LoraConfig.Initialization;
import dev.gatun.model.LoraConfig.Modules;
import dev.gatun.model.LoraConfig.Modules.Names;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/// The keys of the adapter. One of the layers of [SftConfigBuilder], which has all keys.
public abstract sealed class AdapterSettings extends RunSettings permits SftConfigBuilder {
  private boolean usePeft = true;
  private int loraR = 16;
  private double loraAlpha = 32;
  private double loraDropout = 0.05;
  private boolean useRslora = false;
  private boolean useDora = false;
  private Modules loraTargetModules = new Names(List.of("q_proj", "v_proj"));
  private @Nullable Modules excludeModules;
  private List<Integer> layersToTransform = List.of();
  private List<String> layersPattern = List.of();
  private Map<String, Integer> rankPattern = Map.of();
  private Map<String, Double> alphaPattern = Map.of();
  private Initialization initLoraWeights = Initialization.KAIMING_UNIFORM;
  private List<String> modulesToSave = List.of();
  private boolean ensureWeightTying = false;
  private LoraConfig.Tokens trainableTokenIndices = LoraConfig.Tokens.NONE;

  AdapterSettings() {}

  public SftConfigBuilder usePeft(boolean value) {
    usePeft = value;
    return self();
  }

  public SftConfigBuilder loraR(int value) {
    loraR = value;
    return self();
  }

  public SftConfigBuilder loraAlpha(double value) {
    loraAlpha = value;
    return self();
  }

  public SftConfigBuilder loraDropout(double value) {
    loraDropout = value;
    return self();
  }

  public SftConfigBuilder useRslora(boolean value) {
    useRslora = value;
    return self();
  }

  public SftConfigBuilder useDora(boolean value) {
    useDora = value;
    return self();
  }

  public SftConfigBuilder loraTargetModules(Modules value) {
    loraTargetModules = value;
    return self();
  }

  public SftConfigBuilder excludeModules(@Nullable Modules value) {
    excludeModules = value;
    return self();
  }

  public SftConfigBuilder layersToTransform(List<Integer> value) {
    layersToTransform = value;
    return self();
  }

  public SftConfigBuilder layersPattern(List<String> value) {
    layersPattern = value;
    return self();
  }

  public SftConfigBuilder rankPattern(Map<String, Integer> value) {
    rankPattern = value;
    return self();
  }

  public SftConfigBuilder alphaPattern(Map<String, Double> value) {
    alphaPattern = value;
    return self();
  }

  public SftConfigBuilder initLoraWeights(Initialization value) {
    initLoraWeights = value;
    return self();
  }

  public SftConfigBuilder modulesToSave(List<String> value) {
    modulesToSave = value;
    return self();
  }

  public SftConfigBuilder ensureWeightTying(boolean value) {
    ensureWeightTying = value;
    return self();
  }

  public SftConfigBuilder trainableTokenIndices(LoraConfig.Tokens value) {
    trainableTokenIndices = value;
    return self();
  }

  /// The adapter that no key describes.
  static LoraConfig defaultLora() {
    return Objects.requireNonNull(new SftConfigBuilder().lora());
  }

  final @Nullable LoraConfig lora() {
    return usePeft
        ? new LoraConfig(
            loraR,
            loraAlpha,
            loraDropout,
            useRslora,
            loraTargetModules,
            excludeModules,
            layersToTransform,
            layersPattern,
            rankPattern,
            alphaPattern,
            initLoraWeights,
            modulesToSave,
            ensureWeightTying,
            useDora,
            trainableTokenIndices)
        : null;
  }
}
