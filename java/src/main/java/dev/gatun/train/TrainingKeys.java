package dev.gatun.train;

import dev.gatun.optim.Schedules;
import dev.gatun.train.SftConfig.SamplingStrategy;
import java.util.Map;

/// The keys of the optimiser and the training loop.
final class TrainingKeys {
  private TrainingKeys() {}

  static void addTo(ConfigKeyList keys) {
    optimization(keys);
    loop(keys);
  }

  private static void optimization(ConfigKeyList keys) {
    ConfigType<Double> unsigned = ConfigType.number(0, Double.POSITIVE_INFINITY);
    ConfigType<Double> fraction = ConfigType.number(0, 1);
    keys.key(
        "learning_rate",
        unsigned,
        SftConfigBuilder::learningRate,
        c -> c.optimization().learningRate());
    keys.nullable(
        "embedding_learning_rate",
        unsigned,
        SftConfigBuilder::embeddingLearningRate,
        c -> c.optimization().embeddingLearningRate());
    keys.nullable(
        "loraplus_lr_ratio",
        ConfigType.positive(),
        SftConfigBuilder::loraplusLrRatio,
        c -> c.optimization().loraplusLrRatio());
    keys.key(
        "lr_scheduler_type",
        ConfigType.choice(Schedules.NAMES),
        SftConfigBuilder::lrSchedulerType,
        c -> c.optimization().lrSchedulerType());
    keys.nullable(
        "lr_scheduler_kwargs",
        ConfigType.map(ConfigType.argument()),
        (b, v) -> b.lrSchedulerKwargs(v == null ? Map.of() : v),
        c -> c.optimization().lrSchedulerKwargs());
    keys.key(
        "warmup_steps",
        ConfigType.steps(0),
        SftConfigBuilder::warmupSteps,
        c -> c.optimization().warmupSteps());
    keys.key(
        "optim", ForeignOptimizers.type(), SftConfigBuilder::optim, c -> c.optimization().optim());
    keys.key("momentum", fraction, SftConfigBuilder::momentum, c -> c.optimization().momentum());
    keys.key(
        "weight_decay",
        unsigned,
        SftConfigBuilder::weightDecay,
        c -> c.optimization().weightDecay());
    keys.key(
        "adam_beta1", fraction, SftConfigBuilder::adamBeta1, c -> c.optimization().adamBeta1());
    keys.key(
        "adam_beta2", fraction, SftConfigBuilder::adamBeta2, c -> c.optimization().adamBeta2());
    keys.key(
        "adam_epsilon",
        unsigned,
        SftConfigBuilder::adamEpsilon,
        c -> c.optimization().adamEpsilon());
    keys.key(
        "max_grad_norm",
        unsigned,
        SftConfigBuilder::maxGradNorm,
        c -> c.optimization().maxGradNorm());
  }

  private static void loop(ConfigKeyList keys) {
    ConfigType<Integer> count = ConfigType.integer(1);
    keys.key(
        "per_device_train_batch_size",
        count,
        SftConfigBuilder::perDeviceTrainBatchSize,
        c -> c.loop().perDeviceTrainBatchSize());
    keys.key(
        "gradient_accumulation_steps",
        count,
        SftConfigBuilder::gradientAccumulationSteps,
        c -> c.loop().gradientAccumulationSteps());
    keys.key(
        "num_train_epochs",
        ConfigType.positive(),
        SftConfigBuilder::numTrainEpochs,
        c -> c.loop().numTrainEpochs());
    // Hugging Face writes "not set" as -1.
    keys.nullable(
        "max_steps",
        ConfigType.integer(-1),
        (b, v) -> b.maxSteps(v == null || v < 1 ? null : v),
        c -> c.loop().maxSteps());
    keys.key(
        "gradient_checkpointing",
        ConfigType.checkpointing(),
        SftConfigBuilder::gradientCheckpointing,
        c -> c.loop().gradientCheckpointing());
    keys.key(
        "activation_offloading",
        ConfigType.bool(),
        SftConfigBuilder::activationOffloading,
        c -> c.loop().activationOffloading());
    keys.nullable(
        "memory_limit",
        ConfigType.memory(),
        SftConfigBuilder::memoryLimit,
        c -> c.loop().memoryLimit());
    keys.key("seed", ConfigType.seed(), SftConfigBuilder::seed, c -> c.loop().seed());
    keys.nullable(
        "data_seed", ConfigType.seed(), SftConfigBuilder::dataSeed, c -> c.loop().dataSeed());
    keys.key(
        "train_sampling_strategy",
        ConfigType.oneOf(SamplingStrategy.class),
        SftConfigBuilder::trainSamplingStrategy,
        c -> c.loop().trainSamplingStrategy());
    keys.key(
        "dataloader_drop_last",
        ConfigType.bool(),
        SftConfigBuilder::dataloaderDropLast,
        c -> c.loop().dataloaderDropLast());
    keys.nullable(
        "neftune_noise_alpha",
        ConfigType.number(0, Double.POSITIVE_INFINITY),
        SftConfigBuilder::neftuneNoiseAlpha,
        c -> c.loop().neftuneNoiseAlpha());
  }
}
