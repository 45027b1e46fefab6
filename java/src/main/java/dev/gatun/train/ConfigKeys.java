package dev.gatun.train;

import dev.gatun.data.OverlongPolicy;
import dev.gatun.model.LoraConfig;
import dev.gatun.optim.Schedules;
import dev.gatun.train.SftConfig.Interval;
import dev.gatun.train.SftConfig.OptimizerName;
import dev.gatun.train.SftConfig.SamplingStrategy;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/// Every key that changes a run, in the order of the resolved configuration.
final class ConfigKeys {
  static final List<ConfigKey<?>> ALL = new ConfigKeys().build();

  private final List<ConfigKey<?>> keys = new ArrayList<>();

  private ConfigKeys() {}

  private List<ConfigKey<?>> build() {
    model();
    data();
    optimization();
    loop();
    evaluation();
    output();
    lora();
    return List.copyOf(keys);
  }

  private <T> void key(
      String name,
      ConfigType<T> type,
      BiConsumer<SftConfigBuilder, T> set,
      Function<SftConfig, @Nullable T> get) {
    keys.add(new ConfigKey<>(name, type, false, set, get));
  }

  private <T> void nullable(
      String name,
      ConfigType<T> type,
      BiConsumer<SftConfigBuilder, @Nullable T> set,
      Function<SftConfig, @Nullable T> get) {
    keys.add(new ConfigKey<>(name, type, true, set, get));
  }

  private void model() {
    ConfigType<Path> path = ConfigType.path();
    key(
        "model_name_or_path",
        path,
        SftConfigBuilder::modelNameOrPath,
        c -> c.model().modelNameOrPath());
    nullable(
        "tokenizer_name_or_path",
        path,
        SftConfigBuilder::tokenizerNameOrPath,
        c -> c.model().tokenizerNameOrPath());
    key(
        "load_in_4bit",
        ConfigType.bool(),
        SftConfigBuilder::loadIn4bit,
        c -> c.model().loadIn4bit());
    key(
        "use_bnb_nested_quant",
        ConfigType.bool(),
        SftConfigBuilder::useBnbNestedQuant,
        c -> c.model().useBnbNestedQuant());
    key("device", ConfigType.device(), SftConfigBuilder::device, c -> c.model().device());
  }

  private void data() {
    key(
        "dataset_path",
        ConfigType.paths(),
        (b, v) -> b.datasetPath(v.toArray(Path[]::new)),
        c -> c.data().datasetPath());
    nullable(
        "eval_dataset_path",
        ConfigType.paths(),
        (b, v) -> b.evalDatasetPath(v == null ? new Path[0] : v.toArray(Path[]::new)),
        c -> c.data().evalDatasetPath());
    key(
        "dataset_text_field",
        ConfigType.text(),
        SftConfigBuilder::datasetTextField,
        c -> c.data().datasetTextField());
    nullable(
        "max_length",
        ConfigType.integer(1),
        SftConfigBuilder::maxLength,
        c -> c.data().maxLength());
    key(
        "overlong_policy",
        ConfigType.oneOf(OverlongPolicy.class),
        SftConfigBuilder::overlongPolicy,
        c -> c.data().overlongPolicy());
    key("packing", ConfigType.bool(), SftConfigBuilder::packing, c -> c.data().packing());
    key(
        "packing_strategy",
        ConfigType.packingStrategy(),
        SftConfigBuilder::packingStrategy,
        c -> c.data().packingStrategy());
    nullable(
        "eval_packing",
        ConfigType.bool(),
        SftConfigBuilder::evalPacking,
        c -> c.data().evalPacking());
    key(
        "padding_free",
        ConfigType.bool(),
        SftConfigBuilder::paddingFree,
        c -> c.data().paddingFree());
    nullable(
        "completion_only_loss",
        ConfigType.bool(),
        SftConfigBuilder::completionOnlyLoss,
        c -> c.data().completionOnlyLoss());
    key(
        "shuffle_dataset",
        ConfigType.bool(),
        SftConfigBuilder::shuffleDataset,
        c -> c.data().shuffleDataset());
    nullable("cache_dir", ConfigType.path(), SftConfigBuilder::cacheDir, c -> c.data().cacheDir());
  }

  private void optimization() {
    ConfigType<Double> unsigned = ConfigType.number(0, Double.POSITIVE_INFINITY);
    ConfigType<Double> fraction = ConfigType.number(0, 1);
    key(
        "learning_rate",
        unsigned,
        SftConfigBuilder::learningRate,
        c -> c.optimization().learningRate());
    key(
        "lr_scheduler_type",
        ConfigType.choice(Schedules.NAMES),
        SftConfigBuilder::lrSchedulerType,
        c -> c.optimization().lrSchedulerType());
    nullable(
        "lr_scheduler_kwargs",
        ConfigType.map(ConfigType.argument()),
        (b, v) -> b.lrSchedulerKwargs(v == null ? Map.of() : v),
        c -> c.optimization().lrSchedulerKwargs());
    key(
        "warmup_steps",
        ConfigType.steps(0),
        SftConfigBuilder::warmupSteps,
        c -> c.optimization().warmupSteps());
    key(
        "optim",
        ConfigType.oneOf(OptimizerName.class),
        SftConfigBuilder::optim,
        c -> c.optimization().optim());
    key("momentum", fraction, SftConfigBuilder::momentum, c -> c.optimization().momentum());
    key(
        "weight_decay",
        unsigned,
        SftConfigBuilder::weightDecay,
        c -> c.optimization().weightDecay());
    key("adam_beta1", fraction, SftConfigBuilder::adamBeta1, c -> c.optimization().adamBeta1());
    key("adam_beta2", fraction, SftConfigBuilder::adamBeta2, c -> c.optimization().adamBeta2());
    key(
        "adam_epsilon",
        unsigned,
        SftConfigBuilder::adamEpsilon,
        c -> c.optimization().adamEpsilon());
    key(
        "max_grad_norm",
        unsigned,
        SftConfigBuilder::maxGradNorm,
        c -> c.optimization().maxGradNorm());
  }

  private void loop() {
    ConfigType<Integer> count = ConfigType.integer(1);
    key(
        "per_device_train_batch_size",
        count,
        SftConfigBuilder::perDeviceTrainBatchSize,
        c -> c.loop().perDeviceTrainBatchSize());
    key(
        "gradient_accumulation_steps",
        count,
        SftConfigBuilder::gradientAccumulationSteps,
        c -> c.loop().gradientAccumulationSteps());
    key(
        "num_train_epochs",
        ConfigType.positive(),
        SftConfigBuilder::numTrainEpochs,
        c -> c.loop().numTrainEpochs());
    // Hugging Face writes "not set" as -1.
    nullable(
        "max_steps",
        ConfigType.integer(-1),
        (b, v) -> b.maxSteps(v == null || v < 1 ? null : v),
        c -> c.loop().maxSteps());
    key(
        "gradient_checkpointing",
        ConfigType.bool(),
        SftConfigBuilder::gradientCheckpointing,
        c -> c.loop().gradientCheckpointing());
    key(
        "activation_offloading",
        ConfigType.bool(),
        SftConfigBuilder::activationOffloading,
        c -> c.loop().activationOffloading());
    key("seed", ConfigType.seed(), SftConfigBuilder::seed, c -> c.loop().seed());
    nullable("data_seed", ConfigType.seed(), SftConfigBuilder::dataSeed, c -> c.loop().dataSeed());
    key(
        "train_sampling_strategy",
        ConfigType.oneOf(SamplingStrategy.class),
        SftConfigBuilder::trainSamplingStrategy,
        c -> c.loop().trainSamplingStrategy());
    key(
        "dataloader_drop_last",
        ConfigType.bool(),
        SftConfigBuilder::dataloaderDropLast,
        c -> c.loop().dataloaderDropLast());
    nullable(
        "neftune_noise_alpha",
        ConfigType.number(0, Double.POSITIVE_INFINITY),
        SftConfigBuilder::neftuneNoiseAlpha,
        c -> c.loop().neftuneNoiseAlpha());
  }

  private void evaluation() {
    key(
        "logging_steps",
        ConfigType.steps(Double.MIN_VALUE),
        SftConfigBuilder::loggingSteps,
        c -> c.evaluation().loggingSteps());
    key(
        "logging_first_step",
        ConfigType.bool(),
        SftConfigBuilder::loggingFirstStep,
        c -> c.evaluation().loggingFirstStep());
    key(
        "eval_strategy",
        ConfigType.oneOf(Interval.class),
        SftConfigBuilder::evalStrategy,
        c -> c.evaluation().evalStrategy());
    nullable(
        "eval_steps",
        ConfigType.steps(Double.MIN_VALUE),
        SftConfigBuilder::evalSteps,
        c -> c.evaluation().evalSteps());
    key(
        "eval_on_start",
        ConfigType.bool(),
        SftConfigBuilder::evalOnStart,
        c -> c.evaluation().evalOnStart());
    key(
        "per_device_eval_batch_size",
        ConfigType.integer(1),
        SftConfigBuilder::perDeviceEvalBatchSize,
        c -> c.evaluation().perDeviceEvalBatchSize());
  }

  private void output() {
    key("output_dir", ConfigType.path(), SftConfigBuilder::outputDir, c -> c.output().outputDir());
    key(
        "overwrite_output_dir",
        ConfigType.bool(),
        SftConfigBuilder::overwriteOutputDir,
        c -> c.output().overwriteOutputDir());
    key(
        "save_strategy",
        ConfigType.oneOf(Interval.class),
        SftConfigBuilder::saveStrategy,
        c -> c.output().saveStrategy());
    key(
        "save_steps",
        ConfigType.steps(Double.MIN_VALUE),
        SftConfigBuilder::saveSteps,
        c -> c.output().saveSteps());
    nullable(
        "save_total_limit",
        ConfigType.integer(1),
        SftConfigBuilder::saveTotalLimit,
        c -> c.output().saveTotalLimit());
  }

  private void lora() {
    key("use_peft", ConfigType.bool(), SftConfigBuilder::usePeft, c -> c.lora() != null);
    key("lora_r", ConfigType.integer(1), SftConfigBuilder::loraR, lora(LoraConfig::rank));
    key("lora_alpha", ConfigType.positive(), SftConfigBuilder::loraAlpha, lora(LoraConfig::alpha));
    key(
        "lora_dropout",
        ConfigType.number(0, 1),
        SftConfigBuilder::loraDropout,
        lora(LoraConfig::dropout));
    key(
        "use_rslora",
        ConfigType.bool(),
        SftConfigBuilder::useRslora,
        lora(LoraConfig::rankStabilized));
    key(
        "lora_target_modules",
        ConfigType.modules(),
        SftConfigBuilder::loraTargetModules,
        lora(LoraConfig::targets));
    nullable(
        "exclude_modules",
        ConfigType.modules(),
        SftConfigBuilder::excludeModules,
        lora(LoraConfig::excludeModules));
    nullable(
        "layers_to_transform",
        ConfigType.list(ConfigType.integer(0)),
        (b, v) -> b.layersToTransform(v == null ? List.of() : v),
        lora(LoraConfig::layersToTransform));
    nullable(
        "layers_pattern",
        ConfigType.list(ConfigType.text()),
        (b, v) -> b.layersPattern(v == null ? List.of() : v),
        lora(LoraConfig::layersPattern));
    key(
        "rank_pattern",
        ConfigType.map(ConfigType.integer(1)),
        SftConfigBuilder::rankPattern,
        lora(LoraConfig::rankPattern));
    key(
        "alpha_pattern",
        ConfigType.map(ConfigType.positive()),
        SftConfigBuilder::alphaPattern,
        lora(LoraConfig::alphaPattern));
    key(
        "init_lora_weights",
        ConfigType.initialization(),
        SftConfigBuilder::initLoraWeights,
        lora(LoraConfig::initialization));
  }

  private static <T> Function<SftConfig, @Nullable T> lora(Function<LoraConfig, @Nullable T> get) {
    return config -> config.lora() == null ? null : get.apply(config.lora());
  }
}
