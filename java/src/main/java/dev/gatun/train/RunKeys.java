package dev.gatun.train;

import dev.gatun.train.SftConfig.Interval;

/// The keys of evaluation and output.
final class RunKeys {
  private RunKeys() {}

  static void addTo(ConfigKeyList keys) {
    evaluation(keys);
    selection(keys);
    output(keys);
  }

  private static void evaluation(ConfigKeyList keys) {
    keys.key(
        "logging_steps",
        ConfigType.steps(Double.MIN_VALUE),
        SftConfigBuilder::loggingSteps,
        c -> c.evaluation().loggingSteps());
    keys.key(
        "logging_first_step",
        ConfigType.bool(),
        SftConfigBuilder::loggingFirstStep,
        c -> c.evaluation().loggingFirstStep());
    keys.key(
        "eval_strategy",
        ConfigType.oneOf(Interval.class),
        SftConfigBuilder::evalStrategy,
        c -> c.evaluation().evalStrategy());
    keys.nullable(
        "eval_steps",
        ConfigType.steps(Double.MIN_VALUE),
        SftConfigBuilder::evalSteps,
        c -> c.evaluation().evalSteps());
    keys.key(
        "eval_delay",
        ConfigType.number(0, Double.POSITIVE_INFINITY),
        SftConfigBuilder::evalDelay,
        c -> c.evaluation().evalDelay());
    keys.key(
        "eval_on_start",
        ConfigType.bool(),
        SftConfigBuilder::evalOnStart,
        c -> c.evaluation().evalOnStart());
    keys.key(
        "per_device_eval_batch_size",
        ConfigType.integer(1),
        SftConfigBuilder::perDeviceEvalBatchSize,
        c -> c.evaluation().perDeviceEvalBatchSize());
    keys.key(
        "eval_generation_samples",
        ConfigType.integer(0),
        SftConfigBuilder::evalGenerationSamples,
        c -> c.evaluation().generation().samples());
    keys.key(
        "eval_generation_max_new_tokens",
        ConfigType.integer(1),
        SftConfigBuilder::evalGenerationMaxNewTokens,
        c -> c.evaluation().generation().maxNewTokens());
    keys.nullable(
        "eval_generation_answer",
        ConfigType.answer(),
        SftConfigBuilder::evalGenerationAnswer,
        c -> c.evaluation().generation().answer());
    keys.key(
        "report_to",
        ConfigType.reporters(),
        SftConfigBuilder::reportTo,
        c -> c.evaluation().reportTo());
    keys.nullable(
        "logging_dir",
        ConfigType.path(),
        SftConfigBuilder::loggingDir,
        c -> c.evaluation().loggingDir());
  }

  private static void selection(ConfigKeyList keys) {
    keys.key(
        "load_best_model_at_end",
        ConfigType.bool(),
        SftConfigBuilder::loadBestModelAtEnd,
        c -> c.evaluation().selection().loadBestModelAtEnd());
    keys.nullable(
        "metric_for_best_model",
        EvalMetric.type(),
        SftConfigBuilder::metricForBestModel,
        c -> c.evaluation().selection().metricForBestModel());
    keys.nullable(
        "greater_is_better",
        ConfigType.bool(),
        SftConfigBuilder::greaterIsBetter,
        c -> c.evaluation().selection().greaterIsBetter());
    keys.nullable(
        "early_stopping_patience",
        ConfigType.integer(1),
        SftConfigBuilder::earlyStoppingPatience,
        c -> c.evaluation().selection().earlyStoppingPatience());
    keys.key(
        "early_stopping_threshold",
        ConfigType.number(0, Double.POSITIVE_INFINITY),
        SftConfigBuilder::earlyStoppingThreshold,
        c -> c.evaluation().selection().earlyStoppingThreshold());
  }

  private static void output(ConfigKeyList keys) {
    keys.key(
        "output_dir", ConfigType.path(), SftConfigBuilder::outputDir, c -> c.output().outputDir());
    keys.key(
        "overwrite_output_dir",
        ConfigType.bool(),
        SftConfigBuilder::overwriteOutputDir,
        c -> c.output().overwriteOutputDir());
    keys.key(
        "save_strategy",
        ConfigType.oneOf(Interval.class),
        SftConfigBuilder::saveStrategy,
        c -> c.output().saveStrategy());
    keys.key(
        "save_steps",
        ConfigType.steps(Double.MIN_VALUE),
        SftConfigBuilder::saveSteps,
        c -> c.output().saveSteps());
    keys.nullable(
        "save_total_limit",
        ConfigType.integer(1),
        SftConfigBuilder::saveTotalLimit,
        c -> c.output().saveTotalLimit());
    keys.key(
        "save_only_model",
        ConfigType.bool(),
        SftConfigBuilder::saveOnlyModel,
        c -> c.output().saveOnlyModel());
    keys.nullable(
        "resume_from_checkpoint",
        ConfigType.resumption(),
        (b, v) -> b.resumeFromCheckpoint(v == null || v.isEmpty() ? null : v),
        c -> c.output().resumeFromCheckpoint());
    keys.key(
        "resume_force",
        ConfigType.bool(),
        SftConfigBuilder::resumeForce,
        c -> c.output().resumeForce());
  }
}
