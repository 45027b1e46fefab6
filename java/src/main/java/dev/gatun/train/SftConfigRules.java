package dev.gatun.train;

import dev.gatun.InputException;
import dev.gatun.data.PackingStrategy;
import dev.gatun.model.LoraConfig;
import dev.gatun.model.LoraConfig.Initialization;
import dev.gatun.train.SftConfig.Evaluation;
import dev.gatun.train.SftConfig.GradientCheckpointing;
import dev.gatun.train.SftConfig.Interval;
import dev.gatun.train.SftConfig.Metric;
import dev.gatun.train.SftConfig.OptimizerName;
import dev.gatun.train.SftConfig.Output;
import dev.gatun.train.SftConfig.Selection;
import java.math.BigDecimal;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/// What must hold for a configuration as a whole, whoever built it.
final class SftConfigRules {
  private SftConfigRules() {}

  /// @throws InputException naming the key that is out of range or at odds with another
  static void check(SftConfig config) {
    checkEachValue(config);
    SftConfig.Data data = config.data();
    require(!data.datasetPath().isEmpty(), "dataset_path is missing; every run needs it");
    require(
        data.chat().trainOn() == null
            || (data.completionOnlyLoss() == null && !data.assistantOnlyLoss()),
        "train_on says what completion_only_loss and assistant_only_loss say; set only one of them");
    require(
        !data.packing() || data.maxLength() != null,
        "packing needs max_length, the length of a packed row; set it");
    require(
        !data.paddingFree() || data.packing() || data.maxLength() == null,
        "padding_free without packing does not cut rows; set max_length to null as well");
    require(
        !data.paddingFree() || !data.packing() || data.packingStrategy() != PackingStrategy.WRAPPED,
        "padding_free needs packing_strategy bfd or bfd_split, not wrapped");
    require(
        config.optimization().momentum() == 0 || config.optimization().optim() == OptimizerName.SGD,
        "momentum is for optim sgd; remove it");
    require(
        config.optimization().embeddingLearningRate() == null
            || config.lora() == null
            || config.model().adapterNameOrPath() != null
            || !config.lora().modulesToSave().isEmpty(),
        "embedding_learning_rate is for modules_to_save, which names nothing; add embed_tokens or lm_head there, or remove it");
    require(
        config.model().adapterNameOrPath() == null || config.lora() != null,
        "adapter_name_or_path names an adapter and use_peft is false; remove one of them");
    require(
        config.optimization().loraplusLrRatio() == null || config.lora() != null,
        "loraplus_lr_ratio is for adapters and use_peft is false; remove it");
    require(
        config.loop().gradientCheckpointing() != GradientCheckpointing.OFF
            || !config.loop().activationOffloading(),
        "activation_offloading moves what gradient_checkpointing keeps; set gradient_checkpointing"
            + " to true");
    if (config.lora() != null) {
      checkStart(config.lora(), config);
    }
    require(
        config.evaluation().evalStrategy() == Interval.NO || !data.evalDatasetPath().isEmpty(),
        "eval_strategy asks for evaluations but eval_dataset_path is not set");
    require(
        !config.evaluation().evalOnStart() || !data.evalDatasetPath().isEmpty(),
        "eval_on_start asks for an evaluation but eval_dataset_path is not set");
    checkNames(data.evalDatasets().keySet(), config.evaluation().selection());
    checkSelection(config.evaluation(), config.output());
    require(
        config.lora() != null || !config.model().loadIn4bit(),
        "load_in_4bit needs an adapter to train (use_peft: true); 4-bit weights cannot be trained"
            + " themselves");
  }

  private static void checkNames(Set<String> datasets, Selection selection) {
    for (String name : datasets) {
      require(
          !name.equals("token") && !name.endsWith("_token"),
          "eval_dataset_path names a dataset %s, whose loss would be called as another's token_loss; choose another name"
              .formatted(name));
    }
    EvalMetric metric = selection.metric();
    if (metric == null || datasets.contains(metric.dataset())) {
      return;
    }
    require(
        datasets.isEmpty() && metric.dataset().isEmpty(),
        "metric_for_best_model %s %s, which no evaluation has; %s"
            .formatted(
                selection.metricForBestModel() == null ? "is not set and so" : "is",
                metric.figure(),
                datasets.isEmpty()
                    ? "set eval_dataset_path"
                    : datasets.stream()
                        .map(name -> new EvalMetric(name, metric.metric()).figure())
                        .collect(
                            Collectors.joining(
                                " or ", "with this eval_dataset_path set it to ", ""))));
  }

  private static void checkSelection(Evaluation evaluation, Output output) {
    Selection selection = evaluation.selection();
    boolean asks = evaluation.generation().samples() > 0;
    require(
        asks || evaluation.generation().answer() == null,
        "eval_generation_answer is for eval_generation_samples, which is 0; set how many questions to answer or remove it");
    require(
        asks || selection.metric() == null || selection.metric().metric() != Metric.EXACT_MATCH,
        "metric_for_best_model is an exact_match and eval_generation_samples is 0; set how many questions to answer");
    require(
        selection.earlyStoppingPatience() == null || selection.metric() != null,
        "early_stopping_patience needs a figure to watch; set metric_for_best_model, for example to loss, or load_best_model_at_end: true");
    require(
        selection.earlyStoppingPatience() == null || evaluation.evalStrategy() != Interval.NO,
        "early_stopping_patience counts evaluations and eval_strategy is no; set it to steps or epoch");
    require(
        selection.earlyStoppingPatience() != null || selection.earlyStoppingThreshold() == 0,
        "early_stopping_threshold is for early_stopping_patience, which is not set; set it or remove the threshold");
    if (!selection.loadBestModelAtEnd()) {
      return;
    }
    require(
        evaluation.evalStrategy() != Interval.NO,
        "load_best_model_at_end compares evaluations and eval_strategy is no; set it to steps or epoch");
    require(
        evaluation.evalStrategy() == output.saveStrategy(),
        "load_best_model_at_end needs a checkpoint of what was evaluated, but eval_strategy is %s and save_strategy is %s; set both to the same"
            .formatted(word(evaluation.evalStrategy()), word(output.saveStrategy())));
    double evalSteps =
        evaluation.evalSteps() == null ? evaluation.loggingSteps() : evaluation.evalSteps();
    require(
        evaluation.evalStrategy() != Interval.STEPS || isMultiple(output.saveSteps(), evalSteps),
        "load_best_model_at_end needs save_steps (%s) to be a multiple of eval_steps (%s), both counts or both ratios; change one of them"
            .formatted(plain(output.saveSteps()), plain(evalSteps)));
  }

  private static String word(Interval interval) {
    return interval.name().toLowerCase(Locale.ROOT);
  }

  private static String plain(double steps) {
    return new BigDecimal(Double.toString(steps)).stripTrailingZeros().toPlainString();
  }

  /// In decimal, as written: 0.3 is three times 0.1.
  private static boolean isMultiple(double steps, double of) {
    return (steps < 1) == (of < 1)
        && BigDecimal.valueOf(steps).remainder(BigDecimal.valueOf(of)).signum() == 0;
  }

  private static void checkStart(LoraConfig lora, SftConfig config) {
    require(
        lora.initialization() != Initialization.LOFTQ || config.model().loadIn4bit(),
        "init_lora_weights: loftq starts from what 4-bit weights make wrong; set load_in_4bit: true");
    require(
        lora.initialization() != Initialization.PISSA || !lora.weightDecomposed(),
        "use_dora with init_lora_weights: pissa makes an adapter that fits no stored checkpoint; set only one of them");
  }

  /// A value set through the builder meets the same bounds as one in a file.
  private static void checkEachValue(SftConfig config) {
    for (ConfigKey<?> key : ConfigKeys.ALL) {
      Object value = key.plain(config);
      if (value != null) {
        key.type().read(key.name(), located(value));
      }
    }
  }

  private static ConfigValue located(Object value) {
    ConfigValue.Location location = new ConfigValue.Location("configuration", 0, 0);
    return switch (value) {
      case List<?> list ->
          new ConfigValue.Sequence(location, list.stream().map(SftConfigRules::located).toList());
      case Map<?, ?> map -> {
        Map<String, ConfigValue.Entry> entries = new LinkedHashMap<>();
        map.forEach((name, item) ->
            entries.put(String.valueOf(name), new ConfigValue.Entry(location, located(item))));
        yield new ConfigValue.Mapping(location, entries);
      }
      case Integer number -> new ConfigValue.Scalar(location, number.longValue());
      default -> new ConfigValue.Scalar(location, value);
    };
  }

  private static void require(boolean holds, String message) {
    if (!holds) {
      throw new InputException(message);
    }
  }
}
