package dev.gatun.train;

import dev.gatun.InputException;
import dev.gatun.data.OverlongPolicy;
import dev.gatun.data.PackingStrategy;
import dev.gatun.model.LoraConfig;
import dev.gatun.model.LoraConfig.Initialization;
import dev.gatun.model.LoraConfig.Modules;
import dev.gatun.model.LoraConfig.Modules.Names;
import dev.gatun.train.SftConfig.Data;
import dev.gatun.train.SftConfig.Evaluation;
import dev.gatun.train.SftConfig.Interval;
import dev.gatun.train.SftConfig.Loop;
import dev.gatun.train.SftConfig.Model;
import dev.gatun.train.SftConfig.Optimization;
import dev.gatun.train.SftConfig.OptimizerName;
import dev.gatun.train.SftConfig.Output;
import dev.gatun.train.SftConfig.SamplingStrategy;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Builds an [SftConfig]. One method for each configuration key, named like it in camel case and
/// starting from the same default; `docs/configuration.md` says what each means.
public final class SftConfigBuilder {
  private @Nullable Path modelNameOrPath;
  private @Nullable Path tokenizerNameOrPath;
  private boolean loadIn4bit = false;
  private boolean useBnbNestedQuant = false;
  private String device = "auto";
  private List<Path> datasetPath = List.of();
  private List<Path> evalDatasetPath = List.of();
  private String datasetTextField = "text";
  private @Nullable Integer maxLength = 1024;
  private OverlongPolicy overlongPolicy = OverlongPolicy.ERROR;
  private boolean packing = false;
  private PackingStrategy packingStrategy = PackingStrategy.BFD;
  private @Nullable Boolean evalPacking;
  private boolean paddingFree = false;
  private @Nullable Boolean completionOnlyLoss;
  private boolean shuffleDataset = false;
  private @Nullable Path cacheDir;
  private double learningRate = 2e-5;
  private String lrSchedulerType = "linear";
  private Map<String, Object> lrSchedulerKwargs = Map.of();
  private double warmupSteps = 0;
  private OptimizerName optim = OptimizerName.ADAMW_TORCH_FUSED;
  private double momentum = 0;
  private double weightDecay = 0;
  private double adamBeta1 = 0.9;
  private double adamBeta2 = 0.999;
  private double adamEpsilon = 1e-8;
  private double maxGradNorm = 1;
  private int perDeviceTrainBatchSize = 8;
  private int gradientAccumulationSteps = 1;
  private double numTrainEpochs = 3;
  private @Nullable Integer maxSteps;
  private boolean gradientCheckpointing = true;
  private boolean activationOffloading = false;
  private long seed = 42;
  private @Nullable Long dataSeed;
  private SamplingStrategy trainSamplingStrategy = SamplingStrategy.RANDOM;
  private boolean dataloaderDropLast = false;
  private @Nullable Double neftuneNoiseAlpha;
  private double loggingSteps = 10;
  private boolean loggingFirstStep = false;
  private Interval evalStrategy = Interval.NO;
  private @Nullable Double evalSteps;
  private boolean evalOnStart = false;
  private int perDeviceEvalBatchSize = 8;
  private @Nullable Path outputDir;
  private boolean overwriteOutputDir = false;
  private Interval saveStrategy = Interval.STEPS;
  private double saveSteps = 500;
  private @Nullable Integer saveTotalLimit;
  private boolean usePeft = true;
  private int loraR = 16;
  private double loraAlpha = 32;
  private double loraDropout = 0.05;
  private boolean useRslora = false;
  private Modules loraTargetModules = new Names(List.of("q_proj", "v_proj"));
  private @Nullable Modules excludeModules;
  private List<Integer> layersToTransform = List.of();
  private List<String> layersPattern = List.of();
  private Map<String, Integer> rankPattern = Map.of();
  private Map<String, Double> alphaPattern = Map.of();
  private Initialization initLoraWeights = Initialization.KAIMING_UNIFORM;

  SftConfigBuilder() {}

  SftConfigBuilder(SftConfig config) {
    for (ConfigKey<?> key : ConfigKeys.ALL) {
      key.copy(config, this);
    }
  }

  public SftConfigBuilder modelNameOrPath(Path value) {
    modelNameOrPath = value;
    return this;
  }

  public SftConfigBuilder tokenizerNameOrPath(@Nullable Path value) {
    tokenizerNameOrPath = value;
    return this;
  }

  public SftConfigBuilder loadIn4bit(boolean value) {
    loadIn4bit = value;
    return this;
  }

  public SftConfigBuilder useBnbNestedQuant(boolean value) {
    useBnbNestedQuant = value;
    return this;
  }

  public SftConfigBuilder device(String value) {
    device = value;
    return this;
  }

  public SftConfigBuilder datasetPath(Path... files) {
    datasetPath = List.of(files);
    return this;
  }

  public SftConfigBuilder evalDatasetPath(Path... files) {
    evalDatasetPath = List.of(files);
    return this;
  }

  public SftConfigBuilder datasetTextField(String value) {
    datasetTextField = value;
    return this;
  }

  public SftConfigBuilder maxLength(@Nullable Integer value) {
    maxLength = value;
    return this;
  }

  public SftConfigBuilder overlongPolicy(OverlongPolicy value) {
    overlongPolicy = value;
    return this;
  }

  public SftConfigBuilder packing(boolean value) {
    packing = value;
    return this;
  }

  public SftConfigBuilder packingStrategy(PackingStrategy value) {
    packingStrategy = value;
    return this;
  }

  public SftConfigBuilder evalPacking(@Nullable Boolean value) {
    evalPacking = value;
    return this;
  }

  public SftConfigBuilder paddingFree(boolean value) {
    paddingFree = value;
    return this;
  }

  public SftConfigBuilder completionOnlyLoss(@Nullable Boolean value) {
    completionOnlyLoss = value;
    return this;
  }

  public SftConfigBuilder shuffleDataset(boolean value) {
    shuffleDataset = value;
    return this;
  }

  public SftConfigBuilder cacheDir(@Nullable Path value) {
    cacheDir = value;
    return this;
  }

  public SftConfigBuilder learningRate(double value) {
    learningRate = value;
    return this;
  }

  public SftConfigBuilder lrSchedulerType(String value) {
    lrSchedulerType = value;
    return this;
  }

  public SftConfigBuilder lrSchedulerKwargs(Map<String, Object> value) {
    lrSchedulerKwargs = value;
    return this;
  }

  public SftConfigBuilder warmupSteps(double value) {
    warmupSteps = value;
    return this;
  }

  public SftConfigBuilder optim(OptimizerName value) {
    optim = value;
    return this;
  }

  public SftConfigBuilder momentum(double value) {
    momentum = value;
    return this;
  }

  public SftConfigBuilder weightDecay(double value) {
    weightDecay = value;
    return this;
  }

  public SftConfigBuilder adamBeta1(double value) {
    adamBeta1 = value;
    return this;
  }

  public SftConfigBuilder adamBeta2(double value) {
    adamBeta2 = value;
    return this;
  }

  public SftConfigBuilder adamEpsilon(double value) {
    adamEpsilon = value;
    return this;
  }

  public SftConfigBuilder maxGradNorm(double value) {
    maxGradNorm = value;
    return this;
  }

  public SftConfigBuilder perDeviceTrainBatchSize(int value) {
    perDeviceTrainBatchSize = value;
    return this;
  }

  public SftConfigBuilder gradientAccumulationSteps(int value) {
    gradientAccumulationSteps = value;
    return this;
  }

  public SftConfigBuilder numTrainEpochs(double value) {
    numTrainEpochs = value;
    return this;
  }

  public SftConfigBuilder maxSteps(@Nullable Integer value) {
    maxSteps = value;
    return this;
  }

  public SftConfigBuilder gradientCheckpointing(boolean value) {
    gradientCheckpointing = value;
    return this;
  }

  public SftConfigBuilder activationOffloading(boolean value) {
    activationOffloading = value;
    return this;
  }

  public SftConfigBuilder seed(long value) {
    seed = value;
    return this;
  }

  public SftConfigBuilder dataSeed(@Nullable Long value) {
    dataSeed = value;
    return this;
  }

  public SftConfigBuilder trainSamplingStrategy(SamplingStrategy value) {
    trainSamplingStrategy = value;
    return this;
  }

  public SftConfigBuilder dataloaderDropLast(boolean value) {
    dataloaderDropLast = value;
    return this;
  }

  public SftConfigBuilder neftuneNoiseAlpha(@Nullable Double value) {
    neftuneNoiseAlpha = value;
    return this;
  }

  public SftConfigBuilder loggingSteps(double value) {
    loggingSteps = value;
    return this;
  }

  public SftConfigBuilder loggingFirstStep(boolean value) {
    loggingFirstStep = value;
    return this;
  }

  public SftConfigBuilder evalStrategy(Interval value) {
    evalStrategy = value;
    return this;
  }

  public SftConfigBuilder evalSteps(@Nullable Double value) {
    evalSteps = value;
    return this;
  }

  public SftConfigBuilder evalOnStart(boolean value) {
    evalOnStart = value;
    return this;
  }

  public SftConfigBuilder perDeviceEvalBatchSize(int value) {
    perDeviceEvalBatchSize = value;
    return this;
  }

  public SftConfigBuilder outputDir(Path value) {
    outputDir = value;
    return this;
  }

  public SftConfigBuilder overwriteOutputDir(boolean value) {
    overwriteOutputDir = value;
    return this;
  }

  public SftConfigBuilder saveStrategy(Interval value) {
    saveStrategy = value;
    return this;
  }

  public SftConfigBuilder saveSteps(double value) {
    saveSteps = value;
    return this;
  }

  public SftConfigBuilder saveTotalLimit(@Nullable Integer value) {
    saveTotalLimit = value;
    return this;
  }

  public SftConfigBuilder usePeft(boolean value) {
    usePeft = value;
    return this;
  }

  public SftConfigBuilder loraR(int value) {
    loraR = value;
    return this;
  }

  public SftConfigBuilder loraAlpha(double value) {
    loraAlpha = value;
    return this;
  }

  public SftConfigBuilder loraDropout(double value) {
    loraDropout = value;
    return this;
  }

  public SftConfigBuilder useRslora(boolean value) {
    useRslora = value;
    return this;
  }

  public SftConfigBuilder loraTargetModules(Modules value) {
    loraTargetModules = value;
    return this;
  }

  public SftConfigBuilder excludeModules(@Nullable Modules value) {
    excludeModules = value;
    return this;
  }

  public SftConfigBuilder layersToTransform(List<Integer> value) {
    layersToTransform = value;
    return this;
  }

  public SftConfigBuilder layersPattern(List<String> value) {
    layersPattern = value;
    return this;
  }

  public SftConfigBuilder rankPattern(Map<String, Integer> value) {
    rankPattern = value;
    return this;
  }

  public SftConfigBuilder alphaPattern(Map<String, Double> value) {
    alphaPattern = value;
    return this;
  }

  public SftConfigBuilder initLoraWeights(Initialization value) {
    initLoraWeights = value;
    return this;
  }

  /// Checks everything and builds the configuration.
  ///
  /// @throws InputException naming the key that is missing, out of range or at odds with another
  public SftConfig build() {
    SftConfig config =
        new SftConfig(
            new Model(
                required(modelNameOrPath, "model_name_or_path"),
                tokenizerNameOrPath,
                loadIn4bit,
                useBnbNestedQuant,
                device),
            new Data(
                datasetPath,
                evalDatasetPath,
                datasetTextField,
                maxLength,
                overlongPolicy,
                packing,
                packingStrategy,
                evalPacking,
                paddingFree,
                completionOnlyLoss,
                shuffleDataset,
                cacheDir),
            new Optimization(
                learningRate,
                lrSchedulerType,
                lrSchedulerKwargs,
                warmupSteps,
                optim,
                momentum,
                weightDecay,
                adamBeta1,
                adamBeta2,
                adamEpsilon,
                maxGradNorm),
            new Loop(
                perDeviceTrainBatchSize,
                gradientAccumulationSteps,
                numTrainEpochs,
                maxSteps,
                gradientCheckpointing,
                activationOffloading,
                seed,
                dataSeed,
                trainSamplingStrategy,
                dataloaderDropLast,
                neftuneNoiseAlpha),
            new Evaluation(
                loggingSteps,
                loggingFirstStep,
                evalStrategy,
                evalSteps,
                evalOnStart,
                perDeviceEvalBatchSize),
            new Output(
                required(outputDir, "output_dir"),
                overwriteOutputDir,
                saveStrategy,
                saveSteps,
                saveTotalLimit),
            usePeft ? lora() : null);
    SftConfigRules.check(config);
    return config;
  }

  private LoraConfig lora() {
    return new LoraConfig(
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
        initLoraWeights);
  }

  private static <T> T required(@Nullable T value, String key) {
    if (value == null) {
      throw new InputException(key + " is missing; every run needs it");
    }
    return value;
  }
}
