package dev.gatun.train;

import dev.gatun.train.SftConfig.GradientCheckpointing;
import dev.gatun.train.SftConfig.Loop;
import dev.gatun.train.SftConfig.Optimization;
import dev.gatun.train.SftConfig.OptimizerName;
import dev.gatun.train.SftConfig.SamplingStrategy;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// The keys of the optimiser and the training loop. One of the layers of [SftConfigBuilder], which
/// has all keys.
public abstract sealed class TrainingSettings extends DataSettings permits RunSettings {
  private double learningRate = 2e-5;
  private String lrSchedulerType = "linear";
  private Map<String, Object> lrSchedulerKwargs = Map.of();
  private double warmupSteps = 0;
  private OptimizerName optim = OptimizerName.ADAMW_TORCH_FUSED;
  private double momentum = 0;
  private @Nullable Double embeddingLearningRate;
  private @Nullable Double loraplusLrRatio;
  private double weightDecay = 0;
  private double adamBeta1 = 0.9;
  private double adamBeta2 = 0.999;
  private double adamEpsilon = 1e-8;
  private double maxGradNorm = 1;
  private int perDeviceTrainBatchSize = 8;
  private int gradientAccumulationSteps = 1;
  private double numTrainEpochs = 3;
  private @Nullable Integer maxSteps;
  private GradientCheckpointing gradientCheckpointing = GradientCheckpointing.ON;
  private boolean activationOffloading = false;
  private @Nullable Long memoryLimit;
  private long seed = 42;
  private @Nullable Long dataSeed;
  private SamplingStrategy trainSamplingStrategy = SamplingStrategy.RANDOM;
  private boolean dataloaderDropLast = false;
  private @Nullable Double neftuneNoiseAlpha;

  TrainingSettings() {}

  public SftConfigBuilder learningRate(double value) {
    learningRate = value;
    return self();
  }

  public SftConfigBuilder embeddingLearningRate(@Nullable Double value) {
    embeddingLearningRate = value;
    return self();
  }

  public SftConfigBuilder loraplusLrRatio(@Nullable Double value) {
    loraplusLrRatio = value;
    return self();
  }

  public SftConfigBuilder lrSchedulerType(String value) {
    lrSchedulerType = value;
    return self();
  }

  public SftConfigBuilder lrSchedulerKwargs(Map<String, Object> value) {
    lrSchedulerKwargs = value;
    return self();
  }

  public SftConfigBuilder warmupSteps(double value) {
    warmupSteps = value;
    return self();
  }

  public SftConfigBuilder optim(OptimizerName value) {
    optim = value;
    return self();
  }

  public SftConfigBuilder momentum(double value) {
    momentum = value;
    return self();
  }

  public SftConfigBuilder weightDecay(double value) {
    weightDecay = value;
    return self();
  }

  public SftConfigBuilder adamBeta1(double value) {
    adamBeta1 = value;
    return self();
  }

  public SftConfigBuilder adamBeta2(double value) {
    adamBeta2 = value;
    return self();
  }

  public SftConfigBuilder adamEpsilon(double value) {
    adamEpsilon = value;
    return self();
  }

  public SftConfigBuilder maxGradNorm(double value) {
    maxGradNorm = value;
    return self();
  }

  public SftConfigBuilder perDeviceTrainBatchSize(int value) {
    perDeviceTrainBatchSize = value;
    return self();
  }

  public SftConfigBuilder gradientAccumulationSteps(int value) {
    gradientAccumulationSteps = value;
    return self();
  }

  public SftConfigBuilder numTrainEpochs(double value) {
    numTrainEpochs = value;
    return self();
  }

  public SftConfigBuilder maxSteps(@Nullable Integer value) {
    maxSteps = value;
    return self();
  }

  public SftConfigBuilder gradientCheckpointing(boolean value) {
    return gradientCheckpointing(value ? GradientCheckpointing.ON : GradientCheckpointing.OFF);
  }

  public SftConfigBuilder gradientCheckpointing(GradientCheckpointing value) {
    gradientCheckpointing = value;
    return self();
  }

  public SftConfigBuilder activationOffloading(boolean value) {
    activationOffloading = value;
    return self();
  }

  public SftConfigBuilder memoryLimit(@Nullable Long bytes) {
    memoryLimit = bytes;
    return self();
  }

  public SftConfigBuilder seed(long value) {
    seed = value;
    return self();
  }

  public SftConfigBuilder dataSeed(@Nullable Long value) {
    dataSeed = value;
    return self();
  }

  public SftConfigBuilder trainSamplingStrategy(SamplingStrategy value) {
    trainSamplingStrategy = value;
    return self();
  }

  public SftConfigBuilder dataloaderDropLast(boolean value) {
    dataloaderDropLast = value;
    return self();
  }

  public SftConfigBuilder neftuneNoiseAlpha(@Nullable Double value) {
    neftuneNoiseAlpha = value;
    return self();
  }

  final Optimization optimization() {
    return new Optimization(
        learningRate,
        lrSchedulerType,
        lrSchedulerKwargs,
        warmupSteps,
        optim,
        momentum,
        embeddingLearningRate,
        loraplusLrRatio,
        weightDecay,
        adamBeta1,
        adamBeta2,
        adamEpsilon,
        maxGradNorm);
  }

  final Loop loop() {
    return new Loop(
        perDeviceTrainBatchSize,
        gradientAccumulationSteps,
        numTrainEpochs,
        maxSteps,
        gradientCheckpointing,
        activationOffloading,
        memoryLimit,
        seed,
        dataSeed,
        trainSamplingStrategy,
        dataloaderDropLast,
        neftuneNoiseAlpha);
  }
}
