package dev.gatun.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.cpu.CpuBackend;
import dev.gatun.io.AdapterFiles;
import dev.gatun.io.PeftAdapter;
import dev.gatun.model.LoraConfig.Initialization;
import dev.gatun.model.LoraConfig.Modules.Names;
import dev.gatun.op.Backend;
import dev.gatun.train.SftConfig.Interval;
import dev.gatun.train.SftConfig.OptimizerName;
import dev.gatun.train.SftConfig.SamplingStrategy;
import dev.gatun.train.TrainingEvent.Notice;
import dev.gatun.train.TrainingEvent.StepFinished;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// A run that goes on from a checkpoint ends like one that was never interrupted.
class ResumeTest {
  private static final Backend backend = CpuBackend.create();

  @TempDir private Path directory;

  @AfterAll
  static void closeBackend() {
    backend.close();
  }

  private SftConfigBuilder config() throws IOException {
    return TinyRun.config(directory, 9)
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

  private static List<TrainingEvent> run(SftConfigBuilder config) {
    List<TrainingEvent> events = new ArrayList<>();
    new SftTrainer(config.build(), backend, events::add).run();
    return events;
  }

  private static List<Integer> steps(List<TrainingEvent> events) {
    return events.stream()
        .filter(StepFinished.class::isInstance)
        .map(event -> ((StepFinished) event).step())
        .toList();
  }

  private static List<String> notices(List<TrainingEvent> events) {
    return events.stream()
        .filter(Notice.class::isInstance)
        .map(event -> ((Notice) event).message())
        .toList();
  }

  /// A copy of `checkpoint-N` as the only content of an output directory.
  private Path only(Path from, int step, String name) throws IOException {
    Path output = Files.createDirectories(directory.resolve(name));
    copy(from.resolve("checkpoint-" + step), output.resolve("checkpoint-" + step));
    return output;
  }

  private static void copy(Path from, Path to) throws IOException {
    Files.createDirectories(to);
    try (Stream<Path> files = Files.list(from)) {
      for (Path file : files.toList()) {
        Files.copy(file, to.resolve(file.getFileName()));
      }
    }
  }

  /// Compares everything two runs wrote; of times and speeds only that they are there.
  private static void assertSameRun(Path actual, Path expected) throws IOException {
    for (String name : List.of("adapter_config.json", "adapter_model.safetensors")) {
      assertThat(actual.resolve(name)).hasSameBinaryContentAs(expected.resolve(name));
    }
    assertThat(timeless(Files.readString(actual.resolve("trainer_state.json"))))
        .isEqualTo(timeless(Files.readString(expected.resolve("trainer_state.json"))));
    assertThat(
            Files.readAllLines(actual.resolve("metrics.jsonl")).stream()
                .map(ResumeTest::timeless)
                .toList())
        .isEqualTo(
            Files.readAllLines(expected.resolve("metrics.jsonl")).stream()
                .map(ResumeTest::timeless)
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
    node.forEach(ResumeTest::removeTimes);
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

  @Test
  void anAdapterThatIsTrainedOnAndItsSavedModulesGoOnBitByBit() throws IOException {
    run(config().modulesToSave(List.of("lm_head")).outputDir(directory.resolve("first")));
    // Keys of the adapter are left out: it brings its own.
    SftConfigBuilder config =
        SftConfig.builder()
            .modelNameOrPath(TinyRun.model())
            .adapterNameOrPath(directory.resolve("first"))
            .datasetPath(TinyRun.rows(directory, 9))
            .outputDir(directory.resolve("out"))
            .perDeviceTrainBatchSize(2)
            .saveSteps(2)
            .maxSteps(5);
    run(config);
    Path output = only(directory.resolve("out"), 2, "resumed");
    run(config.outputDir(output).resumeFromCheckpoint(Resumption.LAST));

    assertSameRun(output, directory.resolve("out"));
  }

  @Test
  void aWeightDecomposedAdapterOfA4BitModelGoesOnBitByBit() throws IOException {
    SftConfigBuilder config = config().useDora(true).loadIn4bit(true);
    Path whole = directory.resolve("whole");
    run(config.outputDir(whole));
    Path resumed = only(whole, 4, "resumed");

    run(config.outputDir(resumed).resumeFromCheckpoint(Resumption.LAST));

    assertSameRun(resumed, whole);
    PeftAdapter trained = AdapterFiles.read(resumed);
    assertThat(trained.modules().values()).isNotEmpty();
    trained
        .modules()
        .forEach((path, update) -> assertThat(update.magnitude()).as(path).isNotNull());
  }

  @Test
  void aBaseThatGaveAPartToTheAdapterGoesOnBitByBit() throws IOException {
    SftConfigBuilder config = config().initLoraWeights(Initialization.PISSA).loadIn4bit(true);
    Path whole = directory.resolve("whole");
    run(config.outputDir(whole));
    Path resumed = only(whole, 4, "resumed");

    run(config.outputDir(resumed).resumeFromCheckpoint(Resumption.LAST));

    assertSameRun(resumed, whole);
  }

  @Test
  void anAdapterOfEmbeddingAndHeadGoesOnBitByBit() throws IOException {
    SftConfigBuilder config =
        config().loraTargetModules(new Names(List.of("embed_tokens", "lm_head", "v_proj")));
    Path whole = directory.resolve("whole");
    run(config.outputDir(whole));
    Path resumed = only(whole, 4, "resumed");

    run(config.outputDir(resumed).resumeFromCheckpoint(Resumption.LAST));

    assertSameRun(resumed, whole);
  }

  @Test
  void aNamedCheckpointIsWhereTheRunGoesOn() throws IOException {
    run(config());
    Path whole = directory.resolve("out");
    Path output = directory.resolve("resumed");
    List<TrainingEvent> events =
        run(
            config()
                .outputDir(output)
                .resumeFromCheckpoint(whole.resolve("checkpoint-4").toString()));

    assertThat(steps(events)).containsExactly(5, 6, 7);
    assertSameRun(output, whole);
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

  @Test
  void aFinishedRunWithoutCheckpointsIsNotWrittenOver() throws IOException {
    run(config().saveStrategy(SftConfig.Interval.NO));
    byte[] before = Files.readAllBytes(directory.resolve("out/adapter_model.safetensors"));

    assertThatThrownBy(() -> run(config().resumeFromCheckpoint(Resumption.LAST)))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("no checkpoint to go on from");
    assertThat(directory.resolve("out/adapter_model.safetensors")).hasBinaryContent(before);
  }

  @Test
  void withoutACheckpointTheRunBeginsAtTheStart() throws IOException {
    List<TrainingEvent> events = run(config().resumeFromCheckpoint(Resumption.LAST));

    assertThat(steps(events)).hasSize(7);
    assertThat(notices(events)).anyMatch(notice -> notice.contains("has no checkpoint yet"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "training_state.safetensors",
        "trainer_state.json",
        "config.yaml",
        "metrics.jsonl",
        "run_state.json",
        "adapter_model.safetensors"
      })
  void aDamagedCheckpointIsSkippedUnlessItIsNamed(String file) throws IOException {
    run(config());
    Path whole = directory.resolve("out");
    Path output = only(whole, 4, "resumed");
    copy(whole.resolve("checkpoint-6"), output.resolve("checkpoint-6"));
    Path damaged = output.resolve("checkpoint-6").resolve(file);
    byte[] content = Files.readAllBytes(damaged);
    content[content.length / 2] ^= 0x10;
    Files.write(damaged, content);
    SftConfigBuilder config = config().outputDir(output);

    assertThatThrownBy(
            () -> run(config.resumeFromCheckpoint(output.resolve("checkpoint-6").toString())))
        .isInstanceOf(InputException.class)
        .hasMessageContaining(file);

    List<TrainingEvent> events = run(config.resumeFromCheckpoint(Resumption.LAST));
    assertThat(steps(events)).containsExactly(5, 6, 7);
    assertThat(notices(events))
        .anyMatch(notice -> notice.contains("checkpoint-6 is skipped") && notice.contains(file));
    assertSameRun(output, whole);
  }

  @Test
  void ifNoCheckpointIsGoodNothingIsTrainedOver() throws IOException {
    run(config());
    Path output = only(directory.resolve("out"), 4, "resumed");
    Files.delete(output.resolve("checkpoint-4/training_state.safetensors"));

    assertThatThrownBy(() -> run(config().outputDir(output).resumeFromCheckpoint(Resumption.LAST)))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("no checkpoint in")
        .hasMessageContaining("training_state.safetensors");
  }

  @Test
  void otherSettingsAndOtherDataAreRefusedByNameUnlessForced() throws IOException {
    SftConfigBuilder config = config();
    run(config);
    config.resumeFromCheckpoint(Resumption.LAST);
    assertThatThrownBy(() -> run(config.learningRate(5e-3)))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("learning_rate was 0.01 and is 0.005")
        .hasMessageContaining("resume_force");

    Path rows = directory.resolve("rows-9.jsonl");
    Files.writeString(rows, Files.readString(rows).replace("yes", "ja"));
    assertThatThrownBy(() -> run(config.learningRate(1e-2)))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("data/0/rows-9.jsonl has other content");

    List<TrainingEvent> events = run(config.resumeForce(true));
    assertThat(steps(events)).containsExactly(7);
    assertThat(notices(events)).anyMatch(notice -> notice.startsWith("resume_force:"));
  }

  @Test
  void aModelWithoutStateIsNoCheckpointToGoOnFrom() throws IOException {
    run(config().saveOnlyModel(true));
    Path checkpoint = directory.resolve("out/checkpoint-2");

    assertThat(checkpoint.resolve("adapter_model.safetensors")).exists();
    assertThat(checkpoint.resolve(RunCheckpoint.TENSORS)).doesNotExist();
    assertThatThrownBy(() -> run(config().resumeFromCheckpoint(checkpoint.toString())))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("save_only_model");
  }

  @Test
  void rotationCountsTheCheckpointsOfTheRunBefore() throws IOException {
    run(config());
    Path output = only(directory.resolve("out"), 2, "resumed");
    copy(directory.resolve("out/checkpoint-4"), output.resolve("checkpoint-4"));
    run(config().outputDir(output).saveTotalLimit(1).resumeFromCheckpoint(Resumption.LAST));

    assertThat(output.resolve("checkpoint-2")).doesNotExist();
    assertThat(output.resolve("checkpoint-4")).doesNotExist();
    assertThat(output.resolve("checkpoint-6")).isDirectory();
  }
}
