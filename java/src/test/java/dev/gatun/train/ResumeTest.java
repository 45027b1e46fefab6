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
import dev.gatun.train.TrainingEvent.Notice;
import dev.gatun.train.TrainingEvent.StepFinished;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// What a run goes on from, and what it refuses.
class ResumeTest extends ResumeContract {
  private static final Backend backend = CpuBackend.create();

  @Override
  protected Backend backend() {
    return backend;
  }

  @AfterAll
  static void closeBackend() {
    backend.close();
  }

  private static List<String> notices(List<TrainingEvent> events) {
    return events.stream()
        .filter(Notice.class::isInstance)
        .map(event -> ((Notice) event).message())
        .toList();
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
  void answersAfterACheckpointThatHasNoneAreNotLeftInTheFolder() throws IOException {
    SftConfigBuilder config =
        config().evalGenerationSamples(2).evalGenerationMaxNewTokens(3).evalSteps(3.0).maxSteps(3);
    run(config);
    Path output = only(directory.resolve("out"), 2, "resumed");
    Files.copy(directory.resolve("out/samples.jsonl"), output.resolve("samples.jsonl"));
    AtomicReference<Boolean> left = new AtomicReference<>();
    TrainingListener listener =
        event -> {
          if (event instanceof StepFinished) {
            left.set(Files.exists(output.resolve("samples.jsonl")));
          }
        };

    SftConfig resumed = config.outputDir(output).resumeFromCheckpoint(Resumption.LAST).build();
    new SftTrainer(resumed, backend, listener).run();

    assertThat(left.get()).isFalse();
    assertThat(output.resolve("samples.jsonl"))
        .hasSameBinaryContentAs(directory.resolve("out/samples.jsonl"));
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
