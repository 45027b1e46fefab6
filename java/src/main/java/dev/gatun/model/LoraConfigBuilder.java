package dev.gatun.model;

import dev.gatun.model.LoraConfig.Initialization;
import dev.gatun.model.LoraConfig.Modules;
import dev.gatun.model.LoraConfig.Tokens;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Builds a [LoraConfig], whose components the methods are named after. What is not set has PEFT's
/// default.
public final class LoraConfigBuilder {
  private int rank = 8;
  private double alpha = 8;
  private double dropout = 0;
  private boolean rankStabilized = false;
  private Modules targets;
  private @Nullable Modules excludeModules;
  private List<Integer> layersToTransform = List.of();
  private List<String> layersPattern = List.of();
  private Map<String, Integer> rankPattern = Map.of();
  private Map<String, Double> alphaPattern = Map.of();
  private Initialization initialization = Initialization.KAIMING_UNIFORM;
  private List<String> modulesToSave = List.of();
  private boolean ensureWeightTying = false;
  private boolean weightDecomposed = false;
  private Tokens trainableTokens = Tokens.NONE;

  LoraConfigBuilder(Modules targets) {
    this.targets = targets;
  }

  LoraConfigBuilder(LoraConfig from) {
    rank = from.rank();
    alpha = from.alpha();
    dropout = from.dropout();
    rankStabilized = from.rankStabilized();
    targets = from.targets();
    excludeModules = from.excludeModules();
    layersToTransform = from.layersToTransform();
    layersPattern = from.layersPattern();
    rankPattern = from.rankPattern();
    alphaPattern = from.alphaPattern();
    initialization = from.initialization();
    modulesToSave = from.modulesToSave();
    ensureWeightTying = from.ensureWeightTying();
    weightDecomposed = from.weightDecomposed();
    trainableTokens = from.trainableTokens();
  }

  public LoraConfigBuilder rank(int value) {
    rank = value;
    return this;
  }

  public LoraConfigBuilder alpha(double value) {
    alpha = value;
    return this;
  }

  public LoraConfigBuilder dropout(double value) {
    dropout = value;
    return this;
  }

  public LoraConfigBuilder rankStabilized(boolean value) {
    rankStabilized = value;
    return this;
  }

  public LoraConfigBuilder targets(Modules value) {
    targets = value;
    return this;
  }

  public LoraConfigBuilder excludeModules(@Nullable Modules value) {
    excludeModules = value;
    return this;
  }

  public LoraConfigBuilder layersToTransform(List<Integer> value) {
    layersToTransform = value;
    return this;
  }

  public LoraConfigBuilder layersPattern(List<String> value) {
    layersPattern = value;
    return this;
  }

  public LoraConfigBuilder rankPattern(Map<String, Integer> value) {
    rankPattern = value;
    return this;
  }

  public LoraConfigBuilder alphaPattern(Map<String, Double> value) {
    alphaPattern = value;
    return this;
  }

  public LoraConfigBuilder initialization(Initialization value) {
    initialization = value;
    return this;
  }

  public LoraConfigBuilder modulesToSave(List<String> value) {
    modulesToSave = value;
    return this;
  }

  public LoraConfigBuilder ensureWeightTying(boolean value) {
    ensureWeightTying = value;
    return this;
  }

  public LoraConfigBuilder weightDecomposed(boolean value) {
    weightDecomposed = value;
    return this;
  }

  public LoraConfigBuilder trainableTokens(Tokens value) {
    trainableTokens = value;
    return this;
  }

  /// What was set so far; the builder may go on.
  public LoraConfig build() {
    return new LoraConfig(
        rank,
        alpha,
        dropout,
        rankStabilized,
        targets,
        excludeModules,
        layersToTransform,
        layersPattern,
        rankPattern,
        alphaPattern,
        initialization,
        modulesToSave,
        ensureWeightTying,
        weightDecomposed,
        trainableTokens);
  }
}
