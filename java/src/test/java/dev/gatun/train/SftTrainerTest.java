package dev.gatun.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gatun.FailureException;
import dev.gatun.InputException;
import dev.gatun.Tolerances;
import dev.gatun.cpu.CpuBackend;
import dev.gatun.io.AdapterFiles;
import dev.gatun.io.Checkpoint;
import dev.gatun.io.PeftAdapter;
import dev.gatun.io.SafeTensorsWriter;
import dev.gatun.model.LoraConfig.Modules;
import dev.gatun.op.Backend;
import dev.gatun.tensor.Tensor;
import dev.gatun.train.SftConfig.Interval;
import dev.gatun.train.SftConfig.SamplingStrategy;
import dev.gatun.train.TrainingEvent.Evaluated;
import dev.gatun.train.TrainingEvent.Finished;
import dev.gatun.train.TrainingEvent.Saved;
import dev.gatun.train.TrainingEvent.Started;
import dev.gatun.train.TrainingEvent.StepFinished;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

class SftTrainerTest {
  private static final Backend backend = CpuBackend.create();

  @TempDir private Path directory;

  @AfterAll
  static void closeBackend() {
    backend.close();
  }

  private SftConfigBuilder config() throws IOException {
    return TinyRun.config(directory, 8);
  }

  private static TrainingResult run(SftConfig config, TrainingListener... listeners) {
    return new SftTrainer(config, backend, listeners).run();
  }

  @Test
  void theSameRunTwiceWritesTheSameBytes() throws IOException {
    SftConfigBuilder builder =
        config()
            .loraDropout(0.1)
            .loadIn4bit(true)
            .useBnbNestedQuant(true)
            .trainSamplingStrategy(SamplingStrategy.RANDOM);
    run(builder.outputDir(directory.resolve("a")).build());
    run(builder.outputDir(directory.resolve("b")).build());

    for (String name : List.of(AdapterFiles.TENSORS, AdapterFiles.CONFIG)) {
      assertThat(directory.resolve("a").resolve(name))
          .hasSameBinaryContentAs(directory.resolve("b").resolve(name));
    }
  }

  @Test
  void aRunLeavesItsFilesAndTellsItsListeners() throws IOException {
    List<TrainingEvent> events = new ArrayList<>();
    SftConfig config =
        config()
            .evalDatasetPath(TinyRun.rows(directory, 5))
            .evalOnStart(true)
            .evalStrategy(Interval.STEPS)
            .evalSteps(2.0)
            .saveStrategy(Interval.STEPS)
            .saveSteps(1)
            .saveTotalLimit(1)
            .loggingSteps(2)
            .maxSteps(3)
            .build();
    TrainingResult result = run(config, events::add);

    assertThat(files(config.output().outputDir()))
        .containsExactlyInAnyOrder(
            "adapter_config.json",
            "adapter_model.safetensors",
            "checkpoint-2",
            "config.yaml",
            "metrics.jsonl",
            "report.html",
            "run.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "trainer_state.json");
    assertThat(events.stream().map(TrainingEvent::getClass).toList())
        .containsSubsequence(
            Started.class, Evaluated.class, StepFinished.class, Saved.class, Finished.class);
    assertThat(events).filteredOn(Evaluated.class::isInstance).hasSize(3);
    assertThat(result.evaluation()).isNotNull();
    assertThat(result.stopped()).isFalse();
    assertThat(Files.readAllLines(config.output().outputDir().resolve("metrics.jsonl"))).hasSize(6);
    assertThat(
            SftConfigReader.read(config.output().outputDir().resolve("config.yaml"), List.of())
                .config())
        .isEqualTo(config);
    assertThat(files(config.output().outputDir().resolve("checkpoint-2")))
        .contains("adapter_config.json", "adapter_model.safetensors", "trainer_state.json");
  }

  @Test
  void anAdapterWithItsEmbeddingIsTrainedOn() throws IOException {
    SftConfig first =
        config()
            .modulesToSave(List.of("embed_tokens", "lm_head"))
            .embeddingLearningRate(1e-3)
            .outputDir(directory.resolve("first"))
            .build();
    run(first);
    PeftAdapter start = AdapterFiles.read(directory.resolve("first"));
    assertThat(start.saved().keySet()).containsExactly("lm_head", "model.embed_tokens");
    assertThat(start.config().modulesToSave()).containsExactly("embed_tokens", "lm_head");

    // What it was after the first run is what the second one starts from.
    SftConfig still =
        SftConfig.builder()
            .modelNameOrPath(TinyRun.model())
            .datasetPath(first.data().datasetPath().getFirst())
            .adapterNameOrPath(directory.resolve("first"))
            .outputDir(directory.resolve("second"))
            .learningRate(0)
            .maxSteps(1)
            .build();
    run(still);
    assertThat(directory.resolve("second").resolve(AdapterFiles.TENSORS))
        .hasSameBinaryContentAs(directory.resolve("first").resolve(AdapterFiles.TENSORS));
    assertThat(directory.resolve("second").resolve(AdapterFiles.CONFIG))
        .hasSameTextualContentAs(directory.resolve("first").resolve(AdapterFiles.CONFIG));

    SftConfig other = still.toBuilder().loraR(3).overwriteOutputDir(true).build();
    assertThatThrownBy(() -> run(other))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("another adapter");
  }

  @Test
  void trainerStateHasTheLayoutOfTransformers() throws IOException {
    SftConfig config = config().maxSteps(5).loggingSteps(2).build();
    List<StepFinished> steps = new ArrayList<>();
    run(
        config,
        event -> {
          if (event instanceof StepFinished step) {
            steps.add(step);
          }
        });
    JsonNode state = json(config.output().outputDir().resolve("trainer_state.json"));

    assertThat(state.propertyNames())
        .containsExactly(
            "best_global_step",
            "best_metric",
            "best_model_checkpoint",
            "epoch",
            "eval_steps",
            "global_step",
            "is_hyper_param_search",
            "is_local_process_zero",
            "is_world_process_zero",
            "log_history",
            "logging_steps",
            "max_steps",
            "num_input_tokens_seen",
            "num_train_epochs",
            "save_steps",
            "stateful_callbacks",
            "total_flos",
            "train_batch_size",
            "trial_name",
            "trial_params");
    assertThat(state.path("global_step").asInt()).isEqualTo(5);
    assertThat(state.path("epoch").asDouble()).isEqualTo(1.25);
    assertThat(state.path("num_train_epochs").asInt()).isEqualTo(2);
    JsonNode log = state.path("log_history");
    assertThat(log.size()).isEqualTo(3);
    assertThat(log.get(0).path("loss").asDouble())
        .isEqualTo((steps.get(0).loss() + steps.get(1).loss()) / 2);
    assertThat(log.get(0).path("grad_norm").asDouble()).isEqualTo(steps.get(1).gradientNorm());
    assertThat(log.get(2).path("train_loss").asDouble())
        .isCloseTo(
            steps.stream().mapToDouble(StepFinished::loss).average().orElseThrow(),
            within(Tolerances.PRINTED_FLOAT));
  }

  @Test
  void stopSavesTheLastFinishedUpdate() throws IOException {
    SftConfig whole = config().maxSteps(2).outputDir(directory.resolve("whole")).build();
    run(whole);
    SftConfig stopped = config().maxSteps(50).outputDir(directory.resolve("stopped")).build();
    SftTrainer[] trainer = new SftTrainer[1];
    trainer[0] =
        new SftTrainer(
            stopped,
            backend,
            event -> {
              if (event instanceof StepFinished step && step.step() == 2) {
                trainer[0].stop();
              }
            });
    TrainingResult result = trainer[0].run();

    assertThat(result.stopped()).isTrue();
    assertThat(result.steps()).isEqualTo(2);
    assertThat(AdapterFiles.read(result.directory()).modules()).isNotEmpty();
    assertThat(result.directory().resolve(AdapterFiles.TENSORS))
        .hasSameBinaryContentAs(directory.resolve("whole").resolve(AdapterFiles.TENSORS));
    assertThat(json(result.directory().resolve("trainer_state.json")).path("global_step").asInt())
        .isEqualTo(2);
  }

  @Test
  void aRunThatDivergesNamesTheUpdateAndKeepsWhatWasGood() throws IOException {
    SftConfig config =
        config().learningRate(1e30).saveStrategy(Interval.STEPS).saveSteps(1).maxSteps(4).build();

    assertThatThrownBy(() -> run(config))
        .isInstanceOf(FailureException.class)
        .hasMessageContaining("update 2: loss")
        .hasMessageContaining("layer")
        .hasMessageContaining("rows-8.jsonl");
    assertThat(AdapterFiles.read(config.output().outputDir().resolve("checkpoint-1")).modules())
        .isNotEmpty();
    assertThat(AdapterFiles.read(config.output().outputDir()).modules()).isNotEmpty();
  }

  @Test
  void aNanInTheCheckpointIsNamedAndNothingIsSaved() throws IOException {
    Path model = directory.resolve("model");
    copyModel(model, "model.layers.1.mlp.up_proj.weight");
    SftConfig config = config().modelNameOrPath(model).build();

    assertThatThrownBy(() -> run(config))
        .isInstanceOf(FailureException.class)
        .hasMessageContaining("update 1")
        .hasMessageContaining("model.layers.1.mlp");
    assertThat(config.output().outputDir()).doesNotExist();
  }

  private static void copyModel(Path target, String spoilt) throws IOException {
    Files.createDirectories(target);
    try (Stream<Path> entries = Files.list(TinyRun.model());
        Checkpoint checkpoint = Checkpoint.open(TinyRun.model())) {
      for (Path entry : entries.toList()) {
        Files.copy(entry, target.resolve(entry.getFileName()));
      }
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      for (String name : checkpoint.names()) {
        Tensor tensor = checkpoint.tensor(name);
        float[] values = tensor.toFloats();
        if (name.equals(spoilt)) {
          values[7] = Float.NaN;
        }
        tensors.put(name, Tensor.ofRounded(tensor.dtype(), tensor.shape(), values));
      }
      SafeTensorsWriter.write(target.resolve("model.safetensors"), tensors, Map.of("format", "pt"));
    }
  }

  @Test
  void fullFineTuningWritesACheckpoint() throws IOException {
    Path rows = TinyRun.rows(directory, 5);
    SftConfig config = config().usePeft(false).learningRate(1e-3).evalDatasetPath(rows).build();
    TrainingResult result = run(config);
    double loss = Objects.requireNonNull(result.evaluation()).loss();
    SftConfig again =
        config.toBuilder()
            .modelNameOrPath(result.directory())
            .outputDir(directory.resolve("again"))
            .build();

    assertThat(TinyRun.evaluate(again, backend).loss())
        .isCloseTo(loss, within(Tolerances.SUMMATION_ORDER * loss));
    assertThat(loss).isLessThan(TinyRun.evaluate(config, backend).loss());
  }

  @Test
  void aDirectoryThatHoldsSomethingIsRefusedUnlessAllowed() throws IOException {
    Path out = Files.createDirectories(directory.resolve("out"));
    Path foreign = Files.writeString(out.resolve("notes.txt"), "mine");

    assertThatThrownBy(() -> run(config().build()))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("not empty")
        .hasMessageContaining("overwrite_output_dir");
    run(config().overwriteOutputDir(true).saveStrategy(Interval.STEPS).saveSteps(1).build());
    run(config().overwriteOutputDir(true).saveStrategy(Interval.STEPS).saveSteps(1).build());
    assertThat(foreign).hasContent("mine");
    assertThat(out.resolve(AdapterFiles.TENSORS)).exists();
  }

  @Test
  void aPathThatCannotBeADirectoryIsRefused() throws IOException {
    Path file = Files.writeString(directory.resolve("file"), "");

    for (Path path : List.of(file, file.resolve("below"))) {
      assertThatThrownBy(() -> run(config().outputDir(path).build()))
          .isInstanceOf(InputException.class)
          .hasMessageContaining("output_dir " + path);
    }
  }

  @Test
  void badInputLeavesNoOutput() throws IOException {
    Path empty = Files.writeString(directory.resolve("empty.jsonl"), "");
    SftConfig noRows = config().datasetPath(empty).build();
    SftConfig noModel = config().modelNameOrPath(directory.resolve("absent")).build();
    SftConfig noTarget = config().loraTargetModules(new Modules.Names(List.of("qq_proj"))).build();

    for (SftConfig config : List.of(noRows, noModel, noTarget)) {
      assertThatThrownBy(() -> run(config)).isInstanceOf(InputException.class);
      assertThat(config.output().outputDir()).doesNotExist();
    }
  }

  @Test
  void aTokenizerOfAnotherModelIsRefused() throws IOException {
    Path tokenizer = Files.createDirectories(directory.resolve("tokenizer"));
    String json = Files.readString(TinyRun.model().resolve("tokenizer.json"));
    JsonNode root = JsonMapper.shared().readTree(json);
    ((ObjectNode) root.path("model").path("vocab")).put("\u6f22\u6f22", 5000);
    Files.writeString(tokenizer.resolve("tokenizer.json"), root.toString());
    Files.copy(
        TinyRun.model().resolve("tokenizer_config.json"),
        tokenizer.resolve("tokenizer_config.json"));

    assertThatThrownBy(() -> run(config().tokenizerNameOrPath(tokenizer).build()))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("vocabulary");
  }

  @Test
  void aFailedSaveLeavesNothingHalfWritten() throws IOException {
    SftConfig config = config().saveStrategy(Interval.STEPS).saveSteps(1).build();
    Path out = config.output().outputDir();

    assertThatThrownBy(() ->
            run(
                config,
                event -> {
                  if (event instanceof StepFinished) {
                    block(out);
                  }
                }))
        .isInstanceOf(FailureException.class)
        .hasMessageContaining(out.toString());
    assertThat(out).isRegularFile();
  }

  /// Puts a file where the output directory would be.
  private static void block(Path path) {
    try {
      Files.writeString(path, "");
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  @Test
  void aRunThatDoesNotFitIsRefusedBeforeItStarts() throws IOException {
    SftConfig config = config().build();
    MemoryPlan plan;
    try (Preparation preparation = Preparation.open(config)) {
      plan = TrainingSession.plan(preparation.inputs(), backend, config);
    }

    assertThat(plan.totalBytes()).isPositive();
    new MemoryPlan(plan.lines(), plan.totalBytes()).requireFit();
    assertThatThrownBy(() -> new MemoryPlan(plan.lines(), plan.totalBytes() - 1).requireFit())
        .isInstanceOf(FailureException.class)
        .hasMessageContaining("max_length")
        .hasMessageContaining("activations");
  }

  @Test
  void offloadingIsPlannedAndNeedsCheckpointing() throws IOException {
    SftConfigBuilder builder = config().activationOffloading(true);
    try (Preparation preparation = Preparation.open(builder.build())) {
      MemoryPlan plan = TrainingSession.plan(preparation.inputs(), backend, builder.build());
      assertThat(plan.lines()).extracting(MemoryPlan.Line::arena).contains("offload");
    }
    assertThatThrownBy(() -> builder.gradientCheckpointing(false).build())
        .isInstanceOf(InputException.class)
        .hasMessageContaining("set gradient_checkpointing to true");
  }

  @Test
  void offloadingThatExceedsHostMemoryIsRefused() {
    List<MemoryPlan.Line> lines = List.of(new MemoryPlan.Line("weights", "", 1));
    MemoryPlan plan =
        new MemoryPlan(
            lines, new MemoryPlan.Budget(1, false), new MemoryPlan.Host(3L << 30, 0, 2L << 30));

    assertThat(plan.totalBytes()).isEqualTo(1);
    assertThat(plan.table()).contains("pinned host      3.00 GiB");
    assertThatThrownBy(plan::requireFit)
        .isInstanceOf(FailureException.class)
        .hasMessageStartingWith(
            "activation_offloading needs 3.00 GiB of host memory but only 2.00 GiB can be had");

    MemoryPlan paged =
        new MemoryPlan(
            lines,
            new MemoryPlan.Budget(1, false),
            new MemoryPlan.Host(1L << 30, 2L << 30, 2L << 30));
    assertThat(paged.table())
        .contains("3.00 GiB  offloaded checkpoints and the optimizer's state, not on the device");
    assertThatThrownBy(paged::requireFit)
        .isInstanceOf(FailureException.class)
        .hasMessageStartingWith("the paged optimizer needs 3.00 GiB of host memory")
        .hasMessageContaining("lower lora_r");
  }

  /// A run collates and uploads ahead; updates made one by one do not.
  @Test
  void uploadingAheadChangesNothing() throws IOException {
    SftConfig config = config().gradientAccumulationSteps(3).maxSteps(5).build();
    TinyRun.Outcome alone = TinyRun.train(config, backend);
    List<Double> losses = new ArrayList<>();
    run(
        config,
        event -> {
          if (event instanceof StepFinished step) {
            losses.add(step.loss());
          }
        });

    assertThat(losses)
        .isEqualTo(alone.updates().stream().map(TrainingSession.UpdateFigures::loss).toList());
  }

  @Test
  void thePlanIsWhatTheRunUses() throws IOException {
    SftConfig config = config().maxSteps(4).build();
    try (Preparation preparation = Preparation.open(config);
        TrainingSession session = TrainingSession.open(preparation.inputs(), backend, config)) {
      for (int step = 1; step <= 4; step++) {
        session.update(step);
      }
      long planned =
          session.memoryPlan().lines().stream()
              .filter(line -> line.arena().equals("activations"))
              .mapToLong(MemoryPlan.Line::bytes)
              .sum();
      assertThat(session.model().activationPeakBytes()).isBetween(planned / 2, planned);
    }
  }

  private static List<String> files(Path folder) throws IOException {
    try (Stream<Path> entries = Files.list(folder)) {
      return entries.map(entry -> entry.getFileName().toString()).toList();
    }
  }

  private static JsonNode json(Path file) throws IOException {
    return JsonMapper.shared().readTree(Files.readString(file));
  }
}
