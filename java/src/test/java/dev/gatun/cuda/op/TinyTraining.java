package dev.gatun.cuda.op;

import dev.gatun.cuda.Context;
import dev.gatun.io.AdapterFiles;
import dev.gatun.model.LoraConfig;
import dev.gatun.model.LoraConfig.Modules;
import dev.gatun.nn.CheckpointPolicy;
import dev.gatun.op.Backend;
import dev.gatun.train.MemoryPlan;
import dev.gatun.train.SftConfig;
import dev.gatun.train.SftConfig.GradientCheckpointing;
import dev.gatun.train.SftConfig.OptimizerName;
import dev.gatun.train.SftConfigBuilder;
import dev.gatun.train.SftTrainer;
import dev.gatun.train.TrainingEvent.Started;
import dev.gatun.train.TrainingEvent.StepFinished;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// QLoRA of the bundled quickstart model, a few steps.
final class TinyTraining {
  private static final List<String> FILES =
      List.of(
          "model/config.json",
          "model/model.safetensors",
          "model/tokenizer.json",
          "model/tokenizer_config.json",
          "train.jsonl");
  private static final long DECODED_BYTES = 6L << 20; // about, of all six layers
  private static final Pattern BUFFER =
      Pattern.compile("(device|pinned) buffer (.*) \\((\\d+) bytes\\)");

  private final Path directory;
  private int runs;

  TinyTraining(Path directory) throws IOException {
    this.directory = directory;
    copyFiles(directory);
  }

  /// The bundled model and its data.
  static void copyFiles(Path directory) throws IOException {
    Files.createDirectories(directory.resolve("model"));
    for (String name : FILES) {
      try (InputStream in =
          TinyTraining.class.getResourceAsStream("/dev/gatun/quickstart/" + name)) {
        Files.copy(Objects.requireNonNull(in, name), directory.resolve(name));
      }
    }
  }

  /// What a run left.
  ///
  /// @param open what a GPU's context had open after the last step, before anything was closed
  record Outcome(List<Double> losses, byte[] adapter, MemoryPlan plan, List<String> open) {
    Outcome {
      losses = List.copyOf(losses);
      open = List.copyOf(open);
    }

    /// Bytes of all open buffers of a kind, `device` or `pinned`.
    long openBytes(String kind) {
      return open.stream()
          .map(BUFFER::matcher)
          .filter(Matcher::matches)
          .filter(buffer -> buffer.group(1).equals(kind))
          .mapToLong(buffer -> Long.parseLong(buffer.group(3)))
          .sum();
    }
  }

  /// Trains from the start; the same arguments give the same run.
  Outcome run(Backend backend, CheckpointPolicy policy, int steps) throws IOException {
    return run(
        backend,
        steps,
        builder ->
            builder
                .gradientCheckpointing(policy != CheckpointPolicy.NONE)
                .activationOffloading(policy == CheckpointPolicy.OFFLOAD));
  }

  /// Trains from the start.
  Outcome run(Backend backend, int steps) throws IOException {
    return run(backend, steps, builder -> builder);
  }

  /// Trains from the start with a few rows of the embedding, which is the head too.
  Outcome runWithTokens(Backend backend, int steps) throws IOException {
    Map<String, List<Integer>> rows = Map.of("embed_tokens", List.of(40, 41, 42, 7, 100));
    return run(
        backend,
        steps,
        builder -> builder.trainableTokenIndices(new LoraConfig.Tokens.Indices(rows)));
  }

  /// Trains from the start with an optimiser.
  Outcome run(Backend backend, OptimizerName optimizer, int steps) throws IOException {
    return run(backend, steps, builder -> builder.optim(optimizer));
  }

  /// Trains with what layers keep chosen by the memory that the run may reserve.
  Outcome runWithin(Backend backend, long memoryLimit, int steps) throws IOException {
    return run(
        backend,
        steps,
        builder ->
            builder.gradientCheckpointing(GradientCheckpointing.AUTO).memoryLimit(memoryLimit));
  }

  private Outcome run(Backend backend, int steps, UnaryOperator<SftConfigBuilder> settings)
      throws IOException {
    Path output = directory.resolve("run-" + runs++);
    SftConfigBuilder builder =
        SftConfig.builder()
            .modelNameOrPath(directory.resolve("model"))
            .datasetPath(directory.resolve("train.jsonl"))
            .outputDir(output)
            .loadIn4bit(true)
            .useBnbNestedQuant(true)
            .loraTargetModules(new Modules.AllLinear())
            .loraDropout(0)
            .learningRate(5e-4)
            .maxLength(128)
            .maxSteps(steps)
            .perDeviceTrainBatchSize(4)
            .gradientAccumulationSteps(2)
            .saveStrategy(SftConfig.Interval.NO);
    SftConfig config = settings.apply(builder).build();
    List<Double> losses = new ArrayList<>();
    List<MemoryPlan> plan = new ArrayList<>();
    List<String> open = new ArrayList<>();
    new SftTrainer(
            config,
            backend,
            event -> {
              if (event instanceof Started started) {
                plan.add(started.plan());
              } else if (event instanceof StepFinished step) {
                losses.add(step.loss());
                open.clear();
                open.addAll(openOn(backend));
              }
            })
        .run();
    byte[] adapter = Files.readAllBytes(output.resolve(AdapterFiles.TENSORS));
    return new Outcome(losses, adapter, plan.getFirst(), open);
  }

  /// What the context of a GPU has open; nothing on the CPU.
  static List<String> openOn(Backend backend) {
    if (!(backend instanceof CudaBackend gpu)) {
      return List.of();
    }
    Context context = gpu.context();
    return context.openChildren();
  }

  /// Limits from what the least takes to what everything takes, and more, so that some and all
  /// weights are kept decoded.
  static long[] limits(MemoryPlan least, MemoryPlan most) {
    long[] limits = new long[6];
    for (int i = 0; i < 4; i++) {
      limits[i] = arenaBytes(least) + (arenaBytes(most) - arenaBytes(least)) * i / 3;
    }
    limits[4] = arenaBytes(most) + DECODED_BYTES / 2;
    limits[5] = arenaBytes(most) + 2 * DECODED_BYTES;
    return limits;
  }

  /// Bytes of decoded weights in a plan.
  static long decodedBytes(MemoryPlan plan) {
    return plan.lines().stream()
        .filter(line -> line.arena().equals("decoded weights"))
        .mapToLong(MemoryPlan.Line::bytes)
        .sum();
  }

  /// Bytes of the plan's arenas, without what the device takes by itself.
  static long arenaBytes(MemoryPlan plan) {
    return plan.lines().stream()
        .filter(line -> !line.arena().equals("runtime"))
        .mapToLong(MemoryPlan.Line::bytes)
        .sum();
  }
}
