package dev.gatun.train;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.cpu.CpuBackend;
import dev.gatun.op.Backend;
import dev.gatun.train.SftConfig.Interval;
import dev.gatun.train.TrainingEvent.Started;
import dev.gatun.train.TrainingEvent.StepFinished;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FlightRecorderTest {
  @TempDir private Path directory;

  @Test
  void aRecordingHoldsUpdatesPausesAndArenas() throws IOException {
    SftConfig config =
        TinyRun.config(directory, 8)
            .evalDatasetPath(TinyRun.rows(directory, 5))
            .evalGenerationSamples(3)
            .evalGenerationMaxNewTokens(4)
            .perDeviceEvalBatchSize(2)
            .saveStrategy(Interval.STEPS)
            .saveSteps(2)
            .build();
    List<TrainingEvent> told = new ArrayList<>();
    Path file = directory.resolve("run.jfr");
    try (Recording recording = new Recording();
        Backend cpu = CpuBackend.create(1)) {
      recording.start();
      new SftTrainer(config, cpu, told::add).run();
      recording.stop();
      recording.dump(file);
    }

    List<RecordedEvent> events = RecordingFile.readAllEvents(file);
    List<RecordedEvent> updates = of(events, "dev.gatun.Update");
    List<StepFinished> steps =
        told.stream().filter(StepFinished.class::isInstance).map(StepFinished.class::cast).toList();
    assertThat(updates).hasSize(3);
    for (int i = 0; i < 3; i++) {
      RecordedEvent update = updates.get(i);
      StepFinished step = steps.get(i);
      assertThat(update.getInt("step")).isEqualTo(step.step());
      assertThat(update.getDouble("loss")).isEqualTo(step.loss());
      assertThat(update.getDouble("gradientNorm")).isEqualTo(step.gradientNorm());
      assertThat(update.getDouble("learningRate")).isEqualTo(step.learningRate());
      assertThat(update.getLong("tokens")).isEqualTo(step.tokens());
      assertThat(update.getLong("targets")).isEqualTo(step.targets());
      assertThat(update.getInt("microBatches")).isEqualTo(step.microBatches());
      assertThat(update.getDuration()).isPositive().isLessThanOrEqualTo(step.duration());
    }
    assertThat(of(events, "dev.gatun.Pause"))
        .extracting(pause -> pause.getString("reason") + pause.getInt("step"))
        .containsExactly("checkpoint2", "evaluation3");
    Started started =
        told.stream()
            .filter(Started.class::isInstance)
            .map(Started.class::cast)
            .findFirst()
            .orElseThrow();
    assertReserved(events, started.plan(), "activations");
    assertReserved(events, started.plan(), "kv-cache");
  }

  /// It is reserved once, as planned, and freed.
  private static void assertReserved(List<RecordedEvent> events, MemoryPlan plan, String name) {
    long planned =
        plan.lines().stream()
            .filter(line -> line.arena().equals(name))
            .mapToLong(MemoryPlan.Line::bytes)
            .sum();
    assertThat(of(events, "dev.gatun.Arena"))
        .filteredOn(arena -> arena.getString("arena").equals(name))
        .satisfiesExactly(
            reserved -> {
              assertThat(reserved.getLong("bytes")).isEqualTo(planned);
              assertThat(reserved.getBoolean("freed")).isFalse();
            },
            freed -> {
              assertThat(freed.getLong("peakBytes")).isBetween(1L, planned);
              assertThat(freed.getBoolean("freed")).isTrue();
            });
  }

  private static List<RecordedEvent> of(List<RecordedEvent> events, String type) {
    return events.stream().filter(event -> event.getEventType().getName().equals(type)).toList();
  }
}
