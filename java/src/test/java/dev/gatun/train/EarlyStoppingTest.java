package dev.gatun.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.FailureException;
import dev.gatun.cpu.CpuBackend;
import dev.gatun.op.Backend;
import dev.gatun.train.SftConfig.Interval;
import dev.gatun.train.SftConfig.Metric;
import dev.gatun.train.TrainingEvent.Evaluated;
import dev.gatun.train.TrainingEvent.Finished;
import dev.gatun.train.TrainingEvent.Notice;
import dev.gatun.train.TrainingEvent.Saved;
import dev.gatun.train.TrainingEvent.StepFinished;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Whole runs whose evaluations decide what is kept and when it ends.
class EarlyStoppingTest {
  private static final Backend backend = CpuBackend.create();

  @TempDir private Path directory;

  @AfterAll
  static void closeBackend() {
    backend.close();
  }

  private static List<TrainingEvent> run(SftConfig config) {
    List<TrainingEvent> events = new ArrayList<>();
    new SftTrainer(config, backend, events::add).run();
    return events;
  }

  /// Evaluated and saved after every update.
  private SftConfigBuilder config() throws IOException {
    return TinyRun.config(directory, 6)
        .evalDatasetPath(TinyRun.rows(directory, 3))
        .evalStrategy(Interval.STEPS)
        .evalSteps(1.0)
        .saveStrategy(Interval.STEPS)
        .saveSteps(1)
        .loadBestModelAtEnd(true)
        .maxSteps(6);
  }

  /// Those that differ in when something happens, whatever the evaluations say.
  static Stream<BestModelCase> schedules() {
    Set<String> names =
        Set.of(
            "valley",
            "best between saves",
            "saved and evaluated apart",
            "delay",
            "only on start",
            "epochs",
            "epochs with delay",
            "epochs cut short");
    List<BestModelCase> cases =
        BestModelCase.all().stream().filter(one -> names.contains(one.name())).toList();
    assertThat(cases).hasSameSizeAs(names);
    return cases.stream();
  }

  @ParameterizedTest
  @MethodSource("schedules")
  void itEvaluatesAndSavesWhenTransformersDoes(BestModelCase example) throws IOException {
    Path rows = TinyRun.rows(directory, example.rows());

    List<TrainingEvent> events =
        run(example.config(TinyRun.model(), rows, directory.resolve("out")));

    assertThat(schedule(events)).isEqualTo(example.schedule());
  }

  private static List<String> schedule(List<TrainingEvent> events) {
    List<String> schedule = new ArrayList<>();
    for (TrainingEvent event : events) {
      if (event instanceof Evaluated evaluated) {
        schedule.add("evaluation " + evaluated.step());
      } else if (event instanceof Saved saved && Resumption.step(saved.directory()) > 0) {
        schedule.add("save " + saved.step());
      }
    }
    return schedule;
  }

  /// With a learning rate of 0 all evaluations are equal, as in this case of the trainer's.
  @Test
  void aRunWithoutProgressEndsAsThatOfTransformers() throws IOException {
    BestModelCase example =
        BestModelCase.all().stream()
            .filter(one -> one.name().equals("equal"))
            .findFirst()
            .orElseThrow();
    Path output = directory.resolve("out");
    SftConfig config = example.config(TinyRun.model(), TinyRun.rows(directory, 3), output);
    assertThat(config.evaluation().selection().earlyStoppingPatience()).isEqualTo(2);

    List<TrainingEvent> events = run(config.toBuilder().learningRate(0).build());

    assertThat(schedule(events)).isEqualTo(example.schedule());
    assertThat(steps(events)).containsExactly(1, 2, 3);
    JsonNode state = state(output);
    assertThat(state.path("best_global_step")).isEqualTo(example.end().path("best_global_step"));
    assertThat(state.path("best_model_checkpoint").stringValue())
        .isEqualTo(output.resolve("checkpoint-1").toString());
    JsonNode control = state.path("stateful_callbacks").path("TrainerControl");
    assertThat(control.path("args").path("should_training_stop").booleanValue()).isTrue();
    assertThat(notices(events))
        .contains("early stopping: eval_loss did not improve in 2 evaluations")
        .filteredOn(notice -> notice.contains("final model"))
        .singleElement()
        .asString()
        .contains("checkpoint-1", "eval_loss", "at step 1");
    assertThat(events.getLast())
        .isInstanceOfSatisfying(
            Finished.class, finished -> assertThat(finished.stopped()).isFalse());
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void theBestCheckpointIsTheResultAndIsKept(boolean greaterIsBetter) throws IOException {
    Path output = directory.resolve("out");
    SftConfigBuilder config = config().greaterIsBetter(greaterIsBetter);
    run(config.build());

    int best = bestStep(output, greaterIsBetter);
    assertThat(state(output).path("best_global_step").intValue()).isEqualTo(best);
    assertSameAdapter(output, output.resolve("checkpoint-" + best));

    Path limited = directory.resolve("limited");
    run(config.outputDir(limited).saveTotalLimit(1).build());
    assertThat(Resumption.checkpoints(limited).stream().map(Resumption::step))
        .containsExactlyElementsOf(Stream.of(best, 6).distinct().toList());
    assertSameAdapter(limited, output);
  }

  /// From the log of all evaluations.
  private static int bestStep(Path output, boolean greaterIsBetter) throws IOException {
    int best = 0;
    double value = 0;
    for (JsonNode entry : state(output).path("log_history")) {
      if (entry.has("eval_loss")) {
        double loss = entry.path("eval_loss").doubleValue();
        if (best == 0 || (greaterIsBetter ? loss > value : loss < value)) {
          best = entry.path("step").intValue();
          value = loss;
        }
      }
    }
    return best;
  }

  private static void assertSameAdapter(Path actual, Path expected) {
    for (String name : List.of("adapter_config.json", "adapter_model.safetensors")) {
      assertThat(actual.resolve(name)).hasSameBinaryContentAs(expected.resolve(name));
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void aWholeModelIsTakenFromTheBestCheckpoint(boolean saveOnlyModel) throws IOException {
    Path output = directory.resolve("out");
    run(
        config()
            .usePeft(false)
            .learningRate(1e-3)
            .greaterIsBetter(true)
            .saveOnlyModel(saveOnlyModel)
            .maxSteps(3)
            .build());

    assertThat(bestStep(output, true)).isEqualTo(1);
    assertThat(output.resolve("model.safetensors"))
        .hasSameBinaryContentAs(output.resolve("checkpoint-1/model.safetensors"));
    assertThat(
            Files.mismatch(
                output.resolve("model.safetensors"),
                output.resolve("checkpoint-3/model.safetensors")))
        .isNotNegative();
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4})
  void aResumedRunGoesOnWithItsBestAndItsPatience(int step) throws IOException {
    SftConfigBuilder config = config().learningRate(0).earlyStoppingPatience(3);
    Path whole = directory.resolve("whole");
    assertThat(steps(run(config.outputDir(whole).build()))).containsExactly(1, 2, 3, 4);
    Path moved = directory.resolve("moved");
    for (int kept = 1; kept <= step; kept++) {
      copy(whole.resolve("checkpoint-" + kept), moved.resolve("checkpoint-" + kept));
    }

    List<TrainingEvent> events =
        run(config.outputDir(moved).resumeFromCheckpoint(Resumption.LAST).build());

    assertThat(steps(events))
        .containsExactlyElementsOf(Stream.of(1, 2, 3, 4).filter(i -> i > step).toList());
    assertSameAdapter(moved, whole);
    JsonNode state = state(moved);
    for (String key : List.of("best_metric", "best_global_step", "stateful_callbacks")) {
      assertThat(state.path(key)).as(key).isEqualTo(state(whole).path(key));
    }
    assertThat(state.path("best_model_checkpoint").stringValue())
        .isEqualTo(moved.resolve("checkpoint-1").toString());
    assertThat(notices(events)).anyMatch(notice -> notice.startsWith("early stopping: "));
  }

  @Test
  void morePatienceLetsAStoppedRunGoOn() throws IOException {
    SftConfigBuilder config = config().learningRate(0).earlyStoppingPatience(1);
    assertThat(steps(run(config.build()))).containsExactly(1, 2);

    config.earlyStoppingPatience(3).resumeFromCheckpoint(Resumption.LAST);
    assertThat(steps(run(config.build()))).containsExactly(3, 4);
  }

  /// Here the end of a run is evaluated in any case, but too early for the choice is too early.
  @Test
  void ifNoEvaluationCountsTheLastUpdateIsTheResult() throws IOException {
    Path output = directory.resolve("out");
    List<TrainingEvent> events = run(config().evalDelay(9).maxSteps(3).build());

    assertThat(schedule(events)).containsExactly("save 1", "save 2", "evaluation 3", "save 3");
    assertThat(state(output).path("best_metric").isNull()).isTrue();
    assertThat(state(output).path("best_model_checkpoint").isNull()).isTrue();
    assertThat(notices(events)).anyMatch(notice -> notice.contains("last update is the final"));
    assertSameAdapter(output, output.resolve("checkpoint-3"));
  }

  @Test
  void withoutTheBestTheLastUpdateStays() throws IOException {
    Path output = directory.resolve("out");
    run(
        config()
            .loadBestModelAtEnd(false)
            .metricForBestModel(Metric.LOSS)
            .greaterIsBetter(true)
            .build());

    assertThat(state(output).path("best_global_step").intValue()).isEqualTo(1);
    assertSameAdapter(output, output.resolve("checkpoint-6"));
  }

  @Test
  void aDamagedBestCheckpointDoesNotBecomeTheResult() throws IOException {
    Path output = directory.resolve("out");
    SftConfig config = config().greaterIsBetter(true).maxSteps(3).build();
    TrainingListener damage =
        event -> {
          if (event instanceof Saved saved && saved.step() == 2) {
            write(output.resolve("checkpoint-1/adapter_model.safetensors"), new byte[8]);
          }
        };

    assertThatThrownBy(() -> new SftTrainer(config, backend, damage).run())
        .isInstanceOf(FailureException.class)
        .hasMessageContaining("checkpoint-1/adapter_model.safetensors is damaged");
    assertSameAdapter(output, output.resolve("checkpoint-3"));
  }

  private static void write(Path file, byte[] content) {
    try {
      Files.write(file, content);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void copy(Path from, Path to) throws IOException {
    Files.createDirectories(to);
    try (Stream<Path> files = Files.list(from)) {
      for (Path file : files.toList()) {
        Files.copy(file, to.resolve(file.getFileName()));
      }
    }
  }

  private static JsonNode state(Path output) throws IOException {
    return JsonMapper.shared().readTree(Files.readString(output.resolve("trainer_state.json")));
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
}
