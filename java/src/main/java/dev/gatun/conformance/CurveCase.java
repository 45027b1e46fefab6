package dev.gatun.conformance;

import dev.gatun.adapter.AdapterStart;
import dev.gatun.data.OverlongPolicy;
import dev.gatun.data.PackingStrategy;
import dev.gatun.io.AdapterFiles;
import dev.gatun.io.Checkpoint;
import dev.gatun.io.PeftAdapter;
import dev.gatun.nn.Training;
import dev.gatun.train.SftConfig;
import dev.gatun.train.SftConfig.OptimizerName;
import dev.gatun.train.SftConfig.SamplingStrategy;
import dev.gatun.train.SftConfigBuilder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/// One recorded training run of the kit.
///
/// @param adapter where it starts, or null for full fine-tuning
record CurveCase(Path folder, Path model, JsonNode curve, @Nullable PeftAdapter adapter) {

  /// What the kit's generator sets where a case says nothing.
  private static final long KIT_SEED = 1234;

  /// @throws dev.gatun.UnsupportedException if the starting adapter is of a kind this engine lacks
  static CurveCase read(Path kit, Path folder) {
    JsonNode curve = KitFiles.json(folder.resolve("curve.json"));
    Path start = folder.resolve("adapter_init");
    return new CurveCase(
        folder,
        kit.resolve(curve.path("model").asString("")).resolve("model"),
        curve,
        Files.isDirectory(start) ? AdapterFiles.read(start) : null);
  }

  /// What the recorded options ask for that this engine lacks.
  static Optional<String> missing(Path folder) {
    JsonNode curve = KitFiles.json(folder.resolve("curve.json"));
    String optimizer = curve.path("effective").path("optim").asString("");
    if (Arrays.stream(OptimizerName.values()).noneMatch(name -> key(name).equals(optimizer))) {
      return Optional.of("optim " + optimizer);
    }
    return Optional.empty();
  }

  JsonNode options() {
    return curve.path("effective");
  }

  /// The recorded options as a configuration. Rows that are too long are cut, as TRL does.
  SftConfig config(boolean checkpointing) {
    JsonNode options = options();
    SftConfigBuilder builder =
        SftConfig.builder()
            .modelNameOrPath(model)
            .outputDir(Path.of("unused"))
            .datasetPath(folder.resolve("train.jsonl"))
            .evalDatasetPath(folder.resolve("eval.jsonl"))
            .gradientCheckpointing(checkpointing)
            .overlongPolicy(OverlongPolicy.TRUNCATE)
            .maxLength(options.path("max_length").asInt())
            .packing(options.path("packing").asBoolean())
            .packingStrategy(PackingStrategy.parse(options.path("packing_strategy").asString()))
            .paddingFree(options.path("padding_free").asBoolean())
            .assistantOnlyLoss(options.path("assistant_only_loss").asBoolean(false))
            .completionOnlyLoss(options.path("completion_only_loss").asBoolean())
            .perDeviceTrainBatchSize(options.path("per_device_train_batch_size").asInt())
            .perDeviceEvalBatchSize(options.path("per_device_eval_batch_size").asInt())
            .gradientAccumulationSteps(options.path("gradient_accumulation_steps").asInt())
            .numTrainEpochs(options.path("num_train_epochs").asDouble())
            .trainSamplingStrategy(
                SamplingStrategy.valueOf(
                    options.path("train_sampling_strategy").asString().toUpperCase(Locale.ROOT)))
            .loadIn4bit(curve.path("nf4_base").asBoolean(false))
            .useBnbNestedQuant(true)
            .seed(options.path("seed").asLong(KIT_SEED));
    optimization(builder, options);
    int maxSteps = options.path("max_steps").asInt(-1);
    builder.maxSteps(maxSteps > 0 ? maxSteps : null).usePeft(adapter != null);
    if (curve.path("embedding_lr").isNumber()) {
      builder.embeddingLearningRate(curve.path("embedding_lr").asDouble());
    }
    if (adapter != null) {
      builder.modulesToSave(adapter.config().modulesToSave());
    }
    return builder.build();
  }

  private static void optimization(SftConfigBuilder builder, JsonNode options) {
    Map<String, Object> arguments = new LinkedHashMap<>();
    options
        .path("lr_scheduler_kwargs")
        .propertyStream()
        .forEach(entry ->
            arguments.put(
                entry.getKey(),
                entry.getValue().isNumber()
                    ? (Object) entry.getValue().asDouble()
                    : entry.getValue().asString()));
    builder
        .learningRate(options.path("learning_rate").asDouble())
        .lrSchedulerType(options.path("lr_scheduler_type").asString())
        .lrSchedulerKwargs(arguments)
        .warmupSteps(options.path("warmup_steps").asDouble())
        .optim(OptimizerName.valueOf(options.path("optim").asString().toUpperCase(Locale.ROOT)))
        .weightDecay(options.path("weight_decay").asDouble())
        .adamBeta1(options.path("adam_beta1").asDouble())
        .adamBeta2(options.path("adam_beta2").asDouble())
        .adamEpsilon(options.path("adam_epsilon").asDouble())
        .maxGradNorm(options.path("max_grad_norm").asDouble());
  }

  /// What is trained, starting from the recorded values.
  Training training(Checkpoint checkpoint) {
    if (adapter == null) {
      return new Training.Full();
    }
    return AdapterStart.training(adapter, checkpoint, folder.resolve("adapter_init").toString());
  }

  private static String key(OptimizerName name) {
    return name.name().toLowerCase(Locale.ROOT);
  }
}
