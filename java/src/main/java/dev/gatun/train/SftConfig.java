package dev.gatun.train;

import dev.gatun.data.ChatOptions;
import dev.gatun.data.DataFinding;
import dev.gatun.data.OverlongPolicy;
import dev.gatun.data.PackingStrategy;
import dev.gatun.model.LoraConfig;
import dev.gatun.text.AddedTokens;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.TreeMap;
import java.util.function.ToDoubleFunction;
import org.jspecify.annotations.Nullable;

/// Everything a fine-tuning run is told: TRL's `SFTConfig`, the part of Hugging Face's
/// `TrainingArguments` that people set, and PEFT's `LoraConfig`. Components carry the names of the
/// configuration keys in camel case; `docs/configuration.md` lists keys, defaults and differences.
///
/// Values are checked when the record is built, see [SftConfigBuilder#build].
///
/// @param lora the adapter, or null for full fine-tuning
public record SftConfig(
    Model model,
    Data data,
    Optimization optimization,
    Loop loop,
    Evaluation evaluation,
    Output output,
    @Nullable LoraConfig lora) {

  /// A builder with every default set.
  public static SftConfigBuilder builder() {
    return new SftConfigBuilder();
  }

  /// A builder that starts from this configuration.
  public SftConfigBuilder toBuilder() {
    return new SftConfigBuilder(this);
  }

  /// Which checkpoint is tuned, in which form.
  ///
  /// @param modelNameOrPath directory of the checkpoint
  /// @param tokenizerNameOrPath directory of the tokenizer, or null for the checkpoint's own
  /// @param adapterNameOrPath directory of the adapter to go on training, or null for a new one
  /// @param addedTokens what the tokenizer gets besides its own tokens
  /// @param loadIn4bit whether the linear layers are quantised to NF4 while they are read
  /// @param useBnbNestedQuant whether the scales of the blocks are quantised again
  /// @param device `auto`, `cpu` or `cuda:N`; whoever picks the backend reads it
  public record Model(
      Path modelNameOrPath,
      @Nullable Path tokenizerNameOrPath,
      @Nullable Path adapterNameOrPath,
      AddedTokens addedTokens,
      boolean loadIn4bit,
      boolean useBnbNestedQuant,
      String device) {
    /// Where the tokenizer is: an adapter's own knows tokens that were added for it.
    public Path tokenizer() {
      if (tokenizerNameOrPath != null) {
        return tokenizerNameOrPath;
      }
      return adapterNameOrPath != null
              && Files.isRegularFile(adapterNameOrPath.resolve("tokenizer.json"))
          ? adapterNameOrPath
          : modelNameOrPath;
    }
  }

  /// What is trained on, and how rows become batches.
  ///
  /// @param datasetPath training files, in order
  /// @param evalDatasets evaluation files by the name of their figures, in order; under the empty
  ///   name those that have none; empty for none
  /// @param maxLength longest row in tokens (with packing: length of a packed row), or null
  /// @param overlongPolicy what happens to longer rows; packing strategies cut by their own rule
  /// @param evalPacking null for the value of `packing`
  /// @param completionOnlyLoss null for true exactly if the data has prompts and completions
  /// @param allowFindings what may be wrong with the data without stopping the run
  /// @param cacheDir where tokenised data is kept, or null for nowhere
  /// @param assistantOnlyLoss whether only the assistant's turns of conversations are trained
  /// @param chat how conversations become rows
  public record Data(
      List<Path> datasetPath,
      SequencedMap<String, List<Path>> evalDatasets,
      String datasetTextField,
      @Nullable Integer maxLength,
      OverlongPolicy overlongPolicy,
      boolean packing,
      PackingStrategy packingStrategy,
      @Nullable Boolean evalPacking,
      boolean paddingFree,
      @Nullable Boolean completionOnlyLoss,
      boolean shuffleDataset,
      List<DataFinding.Allowable> allowFindings,
      @Nullable Path cacheDir,
      boolean assistantOnlyLoss,
      ChatOptions chat) {
    public Data {
      datasetPath = List.copyOf(datasetPath);
      evalDatasets = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(evalDatasets));
      allowFindings = List.copyOf(allowFindings);
    }

    /// All evaluation files, in order.
    public List<Path> evalDatasetPath() {
      return evalDatasets.values().stream().flatMap(List::stream).toList();
    }
  }

  /// How parameters move.
  ///
  /// @param lrSchedulerKwargs numbers that the schedule takes by name; true counts as 1
  /// @param warmupSteps below 1 a ratio of all updates, rounded up
  /// @param momentum for sgd
  /// @param embeddingLearningRate of the embedding and the head, or null for that of the others
  /// @param loraplusLrRatio what B's learning rate is multiplied by, or null for 1
  /// @param maxGradNorm 0 for no clipping
  public record Optimization(
      double learningRate,
      String lrSchedulerType,
      Map<String, Object> lrSchedulerKwargs,
      double warmupSteps,
      OptimizerName optim,
      double momentum,
      @Nullable Double embeddingLearningRate,
      @Nullable Double loraplusLrRatio,
      double weightDecay,
      double adamBeta1,
      double adamBeta2,
      double adamEpsilon,
      double maxGradNorm) {
    public Optimization {
      lrSchedulerKwargs = Collections.unmodifiableMap(new TreeMap<>(lrSchedulerKwargs));
    }
  }

  /// How long and in what portions.
  ///
  /// @param activationOffloading whether checkpoints lie in host memory
  /// @param memoryLimit bytes that the run may reserve, or null for all there is
  /// @param maxSteps updates, or null to go by epochs
  /// @param dataSeed null for `seed`
  /// @param neftuneNoiseAlpha null for no noise
  public record Loop(
      int perDeviceTrainBatchSize,
      int gradientAccumulationSteps,
      double numTrainEpochs,
      @Nullable Integer maxSteps,
      GradientCheckpointing gradientCheckpointing,
      boolean activationOffloading,
      @Nullable Long memoryLimit,
      long seed,
      @Nullable Long dataSeed,
      SamplingStrategy trainSamplingStrategy,
      boolean dataloaderDropLast,
      @Nullable Double neftuneNoiseAlpha) {
    /// Seed of the sample order.
    public long orderSeed() {
      return dataSeed == null ? seed : dataSeed;
    }
  }

  /// When figures are taken. Step counts below 1 are ratios of all updates, rounded up.
  ///
  /// @param evalSteps null for `loggingSteps`
  /// @param generation answers to held-out questions
  /// @param evalDelay updates, with `EPOCH` epochs, before which no evaluation is due
  /// @param reportTo who is told the entries of the log beside the run's own files
  /// @param loggingDir where they are, null for `runs` in the output directory
  public record Evaluation(
      double loggingSteps,
      boolean loggingFirstStep,
      Interval evalStrategy,
      @Nullable Double evalSteps,
      double evalDelay,
      boolean evalOnStart,
      int perDeviceEvalBatchSize,
      Generation generation,
      List<Reporter> reportTo,
      @Nullable Path loggingDir,
      Selection selection) {
    public Evaluation {
      reportTo = List.copyOf(reportTo);
    }
  }

  /// How held-out questions are answered at each evaluation.
  ///
  /// @param samples how many; 0 for none
  /// @param answer regular expression whose first group is the answer, or null for the whole text
  public record Generation(int samples, int maxNewTokens, @Nullable String answer) {}

  /// What evaluations decide.
  ///
  /// @param loadBestModelAtEnd whether the best checkpoint becomes the result, not the last update
  /// @param metricForBestModel null for the loss with `loadBestModelAtEnd`, otherwise for none
  /// @param greaterIsBetter null for false exactly if the metric is a loss
  /// @param earlyStoppingPatience evaluations in a row without progress that end the run, or null
  /// @param earlyStoppingThreshold what must be exceeded to count as progress
  public record Selection(
      boolean loadBestModelAtEnd,
      @Nullable EvalMetric metricForBestModel,
      @Nullable Boolean greaterIsBetter,
      @Nullable Integer earlyStoppingPatience,
      double earlyStoppingThreshold) {
    /// What evaluations are compared by, or null if they are not.
    public @Nullable EvalMetric metric() {
      return metricForBestModel == null && loadBestModelAtEnd
          ? EvalMetric.of(Metric.LOSS)
          : metricForBestModel;
    }

    /// The direction of [#metric].
    public boolean isGreaterBetter() {
      if (greaterIsBetter != null) {
        return greaterIsBetter;
      }
      EvalMetric metric = metric();
      return metric == null || !metric.figure().endsWith("loss");
    }
  }

  /// Figures of an evaluation that can be compared.
  public enum Metric {
    LOSS(EvaluationResult::rowWeightedLoss),
    TOKEN_LOSS(EvaluationResult::loss),
    MEAN_TOKEN_ACCURACY(EvaluationResult::meanTokenAccuracy),
    ENTROPY(EvaluationResult::entropy),
    EXACT_MATCH(result -> result.exactMatch().orElseThrow());

    private final ToDoubleFunction<EvaluationResult> value;

    Metric(ToDoubleFunction<EvaluationResult> value) {
      this.value = value;
    }

    double of(EvaluationResult result) {
      return value.applyAsDouble(result);
    }
  }

  /// Programs that show runs.
  public enum Reporter {
    TENSORBOARD
  }

  /// What is written, and where.
  ///
  /// @param saveTotalLimit checkpoints of this run that are kept, or null for all
  /// @param saveOnlyModel whether checkpoints lack what a run needs to go on from them
  /// @param resumeFromCheckpoint `last`, the path of a checkpoint, or null to begin at the start
  /// @param resumeForce whether to go on although data, model or configuration differ
  public record Output(
      Path outputDir,
      boolean overwriteOutputDir,
      Interval saveStrategy,
      double saveSteps,
      @Nullable Integer saveTotalLimit,
      boolean saveOnlyModel,
      @Nullable String resumeFromCheckpoint,
      boolean resumeForce) {}

  /// Optimisers, under Hugging Face's names. The paged ones keep their state in host memory.
  public enum OptimizerName {
    ADAMW_TORCH,
    ADAMW_TORCH_FUSED,
    ADAMW_8BIT,
    ADAMW_BNB_8BIT,
    PAGED_ADAMW_32BIT,
    PAGED_ADAMW_8BIT,
    LION_32BIT,
    LION_8BIT,
    PAGED_LION_32BIT,
    PAGED_LION_8BIT,
    ADAFACTOR,
    SGD;

    /// Whether the state lies in host memory.
    public boolean isPaged() {
      return name().startsWith("PAGED_");
    }
  }

  /// Whether layers keep less than the backward pass reads.
  public enum GradientCheckpointing {
    OFF,
    ON,
    /// What is kept of each layer, and where, follows from the memory there is.
    AUTO
  }

  /// Orders in which rows are visited.
  public enum SamplingStrategy {
    RANDOM,
    SEQUENTIAL
  }

  /// When something recurring happens.
  public enum Interval {
    NO,
    STEPS,
    EPOCH
  }
}
