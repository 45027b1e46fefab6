package dev.gatun.train;

import dev.gatun.train.SftConfig.Evaluation;
import dev.gatun.train.SftConfig.Generation;
import dev.gatun.train.SftConfig.Interval;
import dev.gatun.train.SftConfig.Output;
import dev.gatun.train.SftConfig.Reporter;
import dev.gatun.train.SftConfig.Selection;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The keys of evaluation and output. One of the layers of [SftConfigBuilder], which has all keys.
public abstract sealed class RunSettings extends TrainingSettings permits AdapterSettings {
  private double loggingSteps = 10;
  private boolean loggingFirstStep = false;
  private Interval evalStrategy = Interval.NO;
  private @Nullable Double evalSteps;
  private double evalDelay = 0;
  private boolean evalOnStart = false;
  private int perDeviceEvalBatchSize = 8;
  private int evalGenerationSamples = 0;
  private int evalGenerationMaxNewTokens = 256;
  private @Nullable String evalGenerationAnswer;
  private List<Reporter> reportTo = List.of();
  private @Nullable Path loggingDir;
  private boolean loadBestModelAtEnd = false;
  private @Nullable EvalMetric metricForBestModel;
  private @Nullable Boolean greaterIsBetter;
  private @Nullable Integer earlyStoppingPatience;
  private double earlyStoppingThreshold = 0;
  private @Nullable Path outputDir;
  private boolean overwriteOutputDir = false;
  private Interval saveStrategy = Interval.STEPS;
  private double saveSteps = 500;
  private @Nullable Integer saveTotalLimit;
  private boolean saveOnlyModel = false;
  private @Nullable String resumeFromCheckpoint;
  private boolean resumeForce = false;

  RunSettings() {}

  public SftConfigBuilder loggingSteps(double value) {
    loggingSteps = value;
    return self();
  }

  public SftConfigBuilder loggingFirstStep(boolean value) {
    loggingFirstStep = value;
    return self();
  }

  public SftConfigBuilder evalStrategy(Interval value) {
    evalStrategy = value;
    return self();
  }

  public SftConfigBuilder evalSteps(@Nullable Double value) {
    evalSteps = value;
    return self();
  }

  public SftConfigBuilder evalDelay(double value) {
    evalDelay = value;
    return self();
  }

  public SftConfigBuilder evalOnStart(boolean value) {
    evalOnStart = value;
    return self();
  }

  public SftConfigBuilder perDeviceEvalBatchSize(int value) {
    perDeviceEvalBatchSize = value;
    return self();
  }

  public SftConfigBuilder evalGenerationSamples(int value) {
    evalGenerationSamples = value;
    return self();
  }

  public SftConfigBuilder evalGenerationMaxNewTokens(int value) {
    evalGenerationMaxNewTokens = value;
    return self();
  }

  public SftConfigBuilder evalGenerationAnswer(@Nullable String value) {
    evalGenerationAnswer = value;
    return self();
  }

  public SftConfigBuilder reportTo(List<Reporter> value) {
    reportTo = value;
    return self();
  }

  public SftConfigBuilder loggingDir(@Nullable Path value) {
    loggingDir = value;
    return self();
  }

  public SftConfigBuilder loadBestModelAtEnd(boolean value) {
    loadBestModelAtEnd = value;
    return self();
  }

  public SftConfigBuilder metricForBestModel(@Nullable EvalMetric value) {
    metricForBestModel = value;
    return self();
  }

  public SftConfigBuilder greaterIsBetter(@Nullable Boolean value) {
    greaterIsBetter = value;
    return self();
  }

  public SftConfigBuilder earlyStoppingPatience(@Nullable Integer value) {
    earlyStoppingPatience = value;
    return self();
  }

  public SftConfigBuilder earlyStoppingThreshold(double value) {
    earlyStoppingThreshold = value;
    return self();
  }

  public SftConfigBuilder outputDir(Path value) {
    outputDir = value;
    return self();
  }

  public SftConfigBuilder overwriteOutputDir(boolean value) {
    overwriteOutputDir = value;
    return self();
  }

  public SftConfigBuilder saveStrategy(Interval value) {
    saveStrategy = value;
    return self();
  }

  public SftConfigBuilder saveSteps(double value) {
    saveSteps = value;
    return self();
  }

  public SftConfigBuilder saveTotalLimit(@Nullable Integer value) {
    saveTotalLimit = value;
    return self();
  }

  public SftConfigBuilder saveOnlyModel(boolean value) {
    saveOnlyModel = value;
    return self();
  }

  public SftConfigBuilder resumeFromCheckpoint(@Nullable String value) {
    resumeFromCheckpoint = value;
    return self();
  }

  public SftConfigBuilder resumeForce(boolean value) {
    resumeForce = value;
    return self();
  }

  final Evaluation evaluation() {
    return new Evaluation(
        loggingSteps,
        loggingFirstStep,
        evalStrategy,
        evalSteps,
        evalDelay,
        evalOnStart,
        perDeviceEvalBatchSize,
        new Generation(evalGenerationSamples, evalGenerationMaxNewTokens, evalGenerationAnswer),
        reportTo,
        loggingDir,
        new Selection(
            loadBestModelAtEnd,
            metricForBestModel,
            greaterIsBetter,
            earlyStoppingPatience,
            earlyStoppingThreshold));
  }

  final Output output() {
    return new Output(
        required(outputDir, "output_dir"),
        overwriteOutputDir,
        saveStrategy,
        saveSteps,
        saveTotalLimit,
        saveOnlyModel,
        resumeFromCheckpoint,
        resumeForce);
  }
}
