package dev.gatun.train;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.io.AdapterFiles;
import dev.gatun.io.SafeTensors;
import dev.gatun.model.LoraConfig.Tokens;
import dev.gatun.op.Backend;
import dev.gatun.train.SftConfig.Interval;
import dev.gatun.train.SftConfig.OptimizerName;
import dev.gatun.train.SftConfig.SamplingStrategy;
import dev.gatun.train.TrainingEvent.StepFinished;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// A run that goes on from a checkpoint ends like one that was never interrupted, to the byte, on
/// any backend.
public abstract class ResumeContract {
  private static final int STOP = 4;

  @TempDir protected Path directory;

  protected abstract Backend backend();

  /// The checkpoint that is trained.
  protected Path model() throws IOException {
    return TinyRun.model();
  }

  final SftConfigBuilder config() throws IOException {
    return TinyRun.config(directory, 9)
        .modelNameOrPath(model())
        .loraDropout(0.1)
        .lrSchedulerType("cosine")
        .trainSamplingStrategy(SamplingStrategy.RANDOM)
        .gradientAccumulationSteps(2)
        .evalDatasetPath(TinyRun.rows(directory, 5))
        .evalStrategy(Interval.STEPS)
        .evalSteps(2.0)
        .loggingSteps(3)
        .saveStrategy(Interval.STEPS)
        .saveSteps(2)
        .maxSteps(7);
  }

  final List<TrainingEvent> run(SftConfigBuilder config) {
    List<TrainingEvent> events = new ArrayList<>();
    new SftTrainer(config.build(), backend(), events::add).run();
    return events;
  }

  static List<Integer> steps(List<TrainingEvent> events) {
    return events.stream()
        .filter(StepFinished.class::isInstance)
        .map(event -> ((StepFinished) event).step())
        .toList();
  }

  /// Trains until an update is done, as an interrupt ends a run.
  private void runUntil(int step, SftConfigBuilder config) {
    AtomicReference<SftTrainer> trainer = new AtomicReference<>();
    trainer.set(
        new SftTrainer(
            config.build(),
            backend(),
            event -> {
              if (event instanceof StepFinished finished && finished.step() == step) {
                trainer.get().stop();
              }
            }));
    assertThat(trainer.get().run().steps()).isEqualTo(step);
  }

  /// A copy of `checkpoint-N` as the only content of an output directory.
  final Path only(Path from, int step, String name) throws IOException {
    Path output = Files.createDirectories(directory.resolve(name));
    copy(from.resolve("checkpoint-" + step), output.resolve("checkpoint-" + step));
    return output;
  }

  static void copy(Path from, Path to) throws IOException {
    Files.createDirectories(to);
    try (Stream<Path> files = Files.list(from)) {
      for (Path file : files.toList()) {
        Files.copy(file, to.resolve(file.getFileName()));
      }
    }
  }

  /// Compares everything two runs wrote; of times and speeds only that they are there.
  static void assertSameRun(Path actual, Path expected) throws IOException {
    for (String name : List.of("adapter_config.json", "adapter_model.safetensors")) {
      assertThat(actual.resolve(name)).hasSameBinaryContentAs(expected.resolve(name));
    }
    assertThat(timeless(Files.readString(actual.resolve("trainer_state.json"))))
        .isEqualTo(timeless(Files.readString(expected.resolve("trainer_state.json"))));
    assertThat(
            Files.readAllLines(actual.resolve("metrics.jsonl")).stream()
                .map(ResumeContract::timeless)
                .toList())
        .isEqualTo(
            Files.readAllLines(expected.resolve("metrics.jsonl")).stream()
                .map(ResumeContract::timeless)
                .toList());
  }

  private static JsonNode timeless(String text) {
    JsonNode node = JsonMapper.shared().readTree(text);
    removeTimes(node);
    return node;
  }

  private static void removeTimes(JsonNode node) {
    if (node instanceof ObjectNode object) {
      for (String name : List.copyOf(object.propertyNames())) {
        if (name.endsWith("_per_second") || name.endsWith("_runtime")) {
          object.put(name, 0);
        }
      }
    }
    node.forEach(ResumeContract::removeTimes);
  }

  /// N updates, a stop and the rest make what 2N updates without a stop make.
  @ParameterizedTest
  @EnumSource(
      value = OptimizerName.class,
      names = {"ADAMW_TORCH", "ADAMW_8BIT", "PAGED_ADAMW_8BIT", "PAGED_LION_32BIT"})
  void aStoppedRunGoesOnBitByBit(OptimizerName optim) throws IOException {
    SftConfigBuilder config =
        config().optim(optim).loadIn4bit(true).loraR(64).saveSteps(6).maxSteps(2 * STOP);
    Path whole = directory.resolve("out");
    run(config);
    Path output = directory.resolve("stopped");
    runUntil(STOP, config.outputDir(output));
    assertThat(output.resolve("checkpoint-" + STOP)).isDirectory();

    List<TrainingEvent> events = run(config.resumeFromCheckpoint(Resumption.LAST));

    assertThat(steps(events)).containsExactly(5, 6, 7, 8);
    assertSameRun(output, whole);
    assertThat(output.resolve("checkpoint-6").resolve(RunCheckpoint.TENSORS))
        .hasSameBinaryContentAs(whole.resolve("checkpoint-6").resolve(RunCheckpoint.TENSORS));
  }

  /// Answers that were given after the checkpoint are given again, and stand there once.
  @Test
  void answersToHeldOutQuestionsGoOnByteByByte() throws IOException {
    SftConfigBuilder config =
        config().evalGenerationSamples(4).evalGenerationMaxNewTokens(6).evalSteps(1.0);
    run(config);
    Path whole = directory.resolve("out");
    Path output = only(whole, 4, "resumed");
    Path samples = whole.resolve("samples.jsonl");
    Files.copy(samples, output.resolve("samples.jsonl"));

    List<TrainingEvent> events =
        run(config.outputDir(output).resumeFromCheckpoint(Resumption.LAST));

    assertThat(steps(events)).containsExactly(5, 6, 7);
    assertSameRun(output, whole);
    List<String> lines = Files.readAllLines(samples);
    assertThat(lines).hasSize(4 * 7).doesNotHaveDuplicates();
    assertThat(output.resolve("samples.jsonl")).hasSameBinaryContentAs(samples);
    assertThat(Files.readAllLines(output.resolve("checkpoint-4/samples.jsonl")))
        .isEqualTo(lines.subList(0, 4 * 4));
    assertThat(output.resolve("checkpoint-6/samples.jsonl"))
        .hasSameBinaryContentAs(whole.resolve("checkpoint-6/samples.jsonl"));
  }

  @ParameterizedTest
  @EnumSource(
      value = OptimizerName.class,
      names = {"ADAMW_TORCH", "ADAMW_8BIT", "LION_8BIT", "ADAFACTOR", "SGD"})
  void everyOptimiserGoesOnBitByBit(OptimizerName optim) throws IOException {
    SftConfigBuilder config =
        config().optim(optim).loraR(64).momentum(optim == OptimizerName.SGD ? 0.9 : 0);
    run(config);
    Path whole = directory.resolve("out");
    Path output = only(whole, 2, "resumed");

    List<TrainingEvent> events =
        run(config.outputDir(output).resumeFromCheckpoint(Resumption.LAST));

    assertThat(steps(events)).containsExactly(3, 4, 5, 6, 7);
    assertSameRun(output, whole);
    for (int step : List.of(4, 6)) {
      assertThat(output.resolve("checkpoint-" + step).resolve(RunCheckpoint.TENSORS))
          .hasSameBinaryContentAs(
              whole.resolve("checkpoint-" + step).resolve(RunCheckpoint.TENSORS));
    }
  }

  @Test
  void fullFineTuningGoesOnBitByBit() throws IOException {
    SftConfigBuilder config = config().usePeft(false).neftuneNoiseAlpha(5.0);
    run(config);
    Path output = only(directory.resolve("out"), 4, "resumed");
    run(config.outputDir(output).resumeFromCheckpoint(Resumption.LAST));

    assertThat(output.resolve("model.safetensors"))
        .hasSameBinaryContentAs(directory.resolve("out/model.safetensors"));
  }

  /// The vocabulary grows again before the checkpoint's grown matrices, or rows, are put back.
  @ParameterizedTest
  @CsvSource({"true,false", "true,true", "false,false"})
  void addedTokensGoOnBitByBit(boolean whole, boolean tied) throws IOException {
    Path rows =
        Files.writeString(
            directory.resolve("tokens.jsonl"),
            """
            {"prompt": "is it?", "completion": " <yes><no>"}
            {"prompt": "was it?", "completion": " <no>"}
            {"prompt": "will it be?", "completion": " maybe <yes>"}
            """);
    SftConfigBuilder config =
        config()
            .datasetPath(rows)
            .evalDatasetPath(rows)
            .addedTokens(List.of("<yes>"))
            .addedSpecialTokens(List.of("<no>"))
            .modulesToSave(whole ? List.of("embed_tokens", "lm_head") : List.of())
            .ensureWeightTying(tied)
            .trainableTokenIndices(whole ? Tokens.NONE : new Tokens.Added())
            .saveSteps(6)
            .maxSteps(2 * STOP);
    Path uninterrupted = directory.resolve("out");
    run(config);
    Path output = directory.resolve("stopped");
    runUntil(STOP, config.outputDir(output));

    List<TrainingEvent> events = run(config.resumeFromCheckpoint(Resumption.LAST));

    assertThat(steps(events)).containsExactly(5, 6, 7, 8);
    assertSameRun(output, uninterrupted);
    for (String name : List.of("tokenizer.json", "checkpoint-6/" + RunCheckpoint.TENSORS)) {
      assertThat(output.resolve(name)).hasSameBinaryContentAs(uninterrupted.resolve(name));
    }
    assertThat(output.resolve("tokenizer.json")).content().contains("<yes>", "<no>");
    assertThat(learned(output, "checkpoint-" + STOP)).isNotEqualTo(learned(output, ""));
  }

  /// Trained values of the embedding.
  private static List<Float> learned(Path output, String checkpoint) {
    Path file = output.resolve(checkpoint).resolve(AdapterFiles.TENSORS);
    try (SafeTensors adapter = SafeTensors.open(file)) {
      List<Float> values = new ArrayList<>();
      for (String name : adapter.names()) {
        if (name.contains("embed_tokens")) {
          for (float value : adapter.tensor(name).toFloats()) {
            values.add(value);
          }
        }
      }
      assertThat(values).isNotEmpty();
      return values;
    }
  }

  /// The card may have another size.
  @Test
  void itGoesOnWhateverLayersKeep() throws IOException {
    run(config());
    Path whole = directory.resolve("out");
    Path output = directory.resolve("resumed");
    run(
        config()
            .gradientCheckpointing(SftConfig.GradientCheckpointing.AUTO)
            .memoryLimit(1L << 30)
            .outputDir(output)
            .resumeFromCheckpoint(whole.resolve("checkpoint-4").toString()));

    assertSameRun(output, whole);
  }
}
