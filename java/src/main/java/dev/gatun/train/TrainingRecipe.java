package dev.gatun.train;

import dev.gatun.InputException;
import dev.gatun.data.DataChecks;
import dev.gatun.data.SftDataOptions;
import dev.gatun.io.EndOfText;
import dev.gatun.io.WeightFormat;
import dev.gatun.model.ModelConfig;
import dev.gatun.nn.CheckpointPolicy;
import dev.gatun.nn.Checkpointing;
import dev.gatun.nn.MemoryNeed;
import dev.gatun.nn.Options;
import dev.gatun.nn.Parameters;
import dev.gatun.op.Backend;
import dev.gatun.optim.Adafactor;
import dev.gatun.optim.AdamW;
import dev.gatun.optim.AdamW8bit;
import dev.gatun.optim.Lion;
import dev.gatun.optim.Optimizer;
import dev.gatun.optim.ParameterGroup;
import dev.gatun.optim.Schedule;
import dev.gatun.optim.Schedules;
import dev.gatun.optim.Sgd;
import dev.gatun.optim.StatePlace;
import dev.gatun.quant.Nf4Codec;
import dev.gatun.text.Tokenizer;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/// Turns sections of a configuration into what the packages below understand.
public final class TrainingRecipe {
  private TrainingRecipe() {}

  /// What the weights become when they are read.
  public static WeightFormat format(SftConfig config) {
    SftConfig.Model model = config.model();
    if (model.loadIn4bit()) {
      return new WeightFormat.Nf4(Nf4Codec.BLOCK, model.useBnbNestedQuant());
    }
    // Weights that are trained themselves start from every bit that is stored.
    return config.lora() == null ? new WeightFormat.AsStored() : new WeightFormat.Operand();
  }

  /// @param checkpointing see [#checkpointing]
  static Options options(SftConfig.Loop loop, ModelConfig model, Checkpointing checkpointing) {
    Double noise = loop.neftuneNoiseAlpha();
    return new Options(
        checkpointing,
        Options.lossChunkRows(model.vocabulary()),
        0,
        noise == null ? 0 : noise.floatValue());
  }

  /// What layers keep, if the configuration says so; empty if it follows from the memory there is.
  static Optional<Checkpointing> checkpointing(SftConfig.Loop loop) {
    return switch (loop.gradientCheckpointing()) {
      case OFF -> Optional.of(CheckpointPolicy.NONE);
      case ON ->
          Optional.of(
              loop.activationOffloading() ? CheckpointPolicy.OFFLOAD : CheckpointPolicy.PER_LAYER);
      case AUTO -> Optional.empty();
    };
  }

  /// @throws InputException for arguments that the schedule does not know
  static Schedule schedule(SftConfig.Optimization optimization, int updates) {
    long warmup = Schedule.warmupSteps(optimization.warmupSteps(), updates);
    return Schedules.named(
        optimization.lrSchedulerType(),
        new Schedules.Run(optimization.learningRate(), warmup, updates),
        optimization.lrSchedulerKwargs());
  }

  static Optimizer optimizer(
      Backend backend, Parameters parameters, SftConfig.Optimization optimization) {
    List<ParameterGroup> groups =
        ParameterGroup.of(parameters, rates(optimization), optimization.weightDecay());
    StatePlace place = optimization.optim().isPaged() ? StatePlace.HOST : StatePlace.DEVICE;
    return switch (optimization.optim()) {
      case ADAMW_TORCH, ADAMW_TORCH_FUSED, PAGED_ADAMW_32BIT ->
          new AdamW(backend, parameters, groups, adamW(optimization), place);
      case ADAMW_8BIT, ADAMW_BNB_8BIT, PAGED_ADAMW_8BIT ->
          new AdamW8bit(
              backend, parameters, groups, adamW(optimization), AdamW8bit.SMALLEST, place);
      case LION_32BIT, PAGED_LION_32BIT, LION_8BIT, PAGED_LION_8BIT ->
          new Lion(backend, parameters, groups, lion(optimization), place);
      case ADAFACTOR -> new Adafactor(backend, parameters, groups);
      case SGD -> new Sgd(backend, parameters, groups, optimization.momentum());
    };
  }

  private static ParameterGroup.Rates rates(SftConfig.Optimization optimization) {
    double rate = optimization.learningRate();
    Double embedding = optimization.embeddingLearningRate();
    Double ratio = optimization.loraplusLrRatio();
    return new ParameterGroup.Rates(
        rate, embedding == null ? rate : embedding, ratio == null ? rate : rate * ratio);
  }

  private static AdamW.Settings adamW(SftConfig.Optimization optimization) {
    return new AdamW.Settings(
        optimization.adamBeta1(), optimization.adamBeta2(), optimization.adamEpsilon());
  }

  private static Lion.Settings lion(SftConfig.Optimization optimization) {
    boolean eightBit =
        optimization.optim() == SftConfig.OptimizerName.LION_8BIT
            || optimization.optim() == SftConfig.OptimizerName.PAGED_LION_8BIT;
    return eightBit
        ? Lion.Settings.in8bit(optimization.adamBeta1(), optimization.adamBeta2())
        : Lion.Settings.in32bit(optimization.adamBeta1(), optimization.adamBeta2());
  }

  /// Memory of the optimiser's state, and of what it works in.
  ///
  /// @param bytes in all
  /// @param pagedBytes how many of them lie in host memory
  record OptimizerMemory(long bytes, long pagedBytes) {}

  static OptimizerMemory optimizerMemory(
      SftConfig.Optimization optimization, Backend backend, MemoryNeed need) {
    SftConfig.OptimizerName name = optimization.optim();
    long bytes =
        switch (name) {
          case ADAMW_TORCH, ADAMW_TORCH_FUSED, PAGED_ADAMW_32BIT ->
              AdamW.byteSize(need.flatParameterCount());
          case ADAMW_8BIT, ADAMW_BNB_8BIT, PAGED_ADAMW_8BIT ->
              AdamW8bit.byteSize(need.parameters(), AdamW8bit.SMALLEST);
          case LION_32BIT, PAGED_LION_32BIT, LION_8BIT, PAGED_LION_8BIT ->
              Lion.byteSize(need.parameters(), lion(optimization));
          case ADAFACTOR -> Adafactor.byteSize(backend, need.parameters());
          case SGD -> Sgd.byteSize(need.flatParameterCount(), optimization.momentum());
        };
    long tables =
        switch (name) {
          case ADAMW_8BIT, ADAMW_BNB_8BIT, PAGED_ADAMW_8BIT -> AdamW8bit.tableBytes();
          case LION_32BIT, PAGED_LION_32BIT, LION_8BIT, PAGED_LION_8BIT -> Lion.tableBytes();
          case ADAMW_TORCH, ADAMW_TORCH_FUSED, PAGED_ADAMW_32BIT, ADAFACTOR, SGD -> 0;
        };
    return new OptimizerMemory(bytes, name.isPaged() ? bytes - tables : 0);
  }

  /// What is asked of the data before a run.
  ///
  /// @param tokenizer the one that the data are prepared with
  /// @throws InputException if the checkpoint's files that name the end of a text are malformed
  public static DataChecks checks(SftConfig config, Tokenizer tokenizer) {
    return new DataChecks(
        tokenizer,
        EndOfText.of(config.model().modelNameOrPath()),
        Set.copyOf(config.data().allowFindings()));
  }

  /// How the training rows, or the evaluation rows, are prepared.
  public static SftDataOptions dataOptions(SftConfig config, boolean evaluation) {
    SftConfig.Data data = config.data();
    Boolean evalPacking = data.evalPacking();
    boolean packing = (evaluation && evalPacking != null) ? evalPacking : data.packing();
    return new SftDataOptions(
        data.datasetTextField(),
        data.maxLength(),
        packing,
        data.packingStrategy(),
        data.completionOnlyLoss(),
        data.assistantOnlyLoss(),
        data.shuffleDataset() && !evaluation,
        config.loop().seed(),
        data.paddingFree() && (packing || data.maxLength() == null),
        data.overlongPolicy(),
        data.chat());
  }
}
