package dev.gatun.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.gatun.cpu.CpuBackend;
import dev.gatun.cuda.op.CudaBackend;
import dev.gatun.data.DataFinding;
import dev.gatun.data.OverlongPolicy;
import dev.gatun.data.PreparedDataset;
import dev.gatun.io.RandomCheckpoint;
import dev.gatun.nn.StepFlops;
import dev.gatun.op.Backend;
import dev.gatun.tensor.DType;
import dev.gatun.train.SftConfig.GradientCheckpointing;
import dev.gatun.train.TrainingPlan.Longest;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BiFunction;
import org.assertj.core.data.Percentage;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class TrainingPlanTest {
  private static final String LOADING = "loading scratch"; // given back before training

  @TempDir private Path directory;

  @ParameterizedTest
  @EnumSource(GradientCheckpointing.class)
  void saysWhatTheRunThenReservesAndTrains(GradientCheckpointing mode) throws IOException {
    SftConfig config = TinyRun.config(directory, 8).gradientCheckpointing(mode).build();
    List<Long> reserved = new ArrayList<>();
    List<TrainingEvent> events = new ArrayList<>();
    try (Backend cpu = CpuBackend.create(1)) {
      TrainingPlan plan = TrainingPlan.of(config, cpu, null);
      assertThat(directory.resolve("out")).doesNotExist();

      new SftTrainer(config, recording(cpu, reserved), events::add).run();

      assertThat(plan.memory().totalBytes())
          .isCloseTo(
              reserved.stream().mapToLong(Long::longValue).sum(), Percentage.withPercentage(2));
      TrainingEvent.Started started = (TrainingEvent.Started) events.getFirst();
      assertThat(plan.trainableParameters()).isEqualTo(started.trainableParameters());
      assertThat(plan.totals().updates()).isEqualTo(3);
      List<TrainingEvent.StepFinished> steps =
          events.stream()
              .filter(TrainingEvent.StepFinished.class::isInstance)
              .map(TrainingEvent.StepFinished.class::cast)
              .toList();
      assertThat(plan.totals().tokens()).isEqualTo(steps.getLast().tokensSeen());
      assertThat(plan.totals().targets())
          .isEqualTo(steps.stream().mapToLong(TrainingEvent.StepFinished::targets).sum());
      assertThat(plan.totals().microBatches())
          .isEqualTo(steps.stream().mapToLong(TrainingEvent.StepFinished::microBatches).sum());
      assertThat(plan.stepSeconds()).isEmpty();
    }
  }

  @Test
  void updatesSayHowManyOperationsTheyCalledFor() throws IOException {
    SftConfig config = TinyRun.config(directory, 8).gradientAccumulationSteps(2).build();
    List<TrainingEvent> events = new ArrayList<>();
    try (Backend cpu = CpuBackend.create(1);
        Preparation preparation = Preparation.open(config)) {
      new SftTrainer(config, cpu, events::add).run();

      PreparedDataset rows = preparation.inputs().rows(); // in order, two a micro-batch
      StepFlops flops = StepFlops.of(preparation.inputs().checkpoint().config(), false);
      double expected = 0;
      for (int row = 0; row < 4; row++) {
        expected += flops.pass(rows.targetCount(row), rows.sequenceLengths(row));
      }
      TrainingEvent.StepFinished first =
          events.stream()
              .filter(TrainingEvent.StepFinished.class::isInstance)
              .map(TrainingEvent.StepFinished.class::cast)
              .findFirst()
              .orElseThrow();
      assertThat(first.work().flops()).isCloseTo(expected, Percentage.withPercentage(1e-9));
      assertThat(first.shareOfPeak()).isEmpty();
    }
  }

  @Test
  void theTimeIsEstimatedFromTheDevicesPeak() throws IOException {
    SftConfig config = TinyRun.config(directory, 8).build();
    try (Backend cpu = CpuBackend.create(1)) {
      TrainingPlan h100 = TrainingPlan.of(config, withPeak(cpu, 989.4e12), null);
      TrainingPlan half = TrainingPlan.of(config, withPeak(cpu, 494.7e12), null);
      double seconds = h100.stepSeconds().orElseThrow();

      assertThat(half.stepSeconds().orElseThrow())
          .isCloseTo(2 * seconds, Percentage.withPercentage(1e-6));
      // One micro-batch an update; its bytes and operations take more than none and less than 1 ms.
      assertThat(seconds).isBetween(1e-9, 1e-3);
      SftConfig four = config.toBuilder().gradientAccumulationSteps(4).maxSteps(1).build();
      assertThat(TrainingPlan.of(four, withPeak(cpu, 989.4e12), null).stepSeconds().orElseThrow())
          .isCloseTo(4 * seconds, Percentage.withPercentage(25));
    }
  }

  private static Backend withPeak(Backend real, double flops) {
    return proxy(real, (name, _) -> name.equals("peakFlops") ? flops : null);
  }

  @Test
  void theLongestRowFitsAndOneTokenMoreDoesNot() throws IOException {
    SftConfig config = oneRow(GradientCheckpointing.OFF, 64).build();
    try (Backend cpu = CpuBackend.create(1)) {
      long memory = TrainingPlan.of(config, cpu, null).memory().totalBytes();
      TrainingPlan plan = TrainingPlan.of(config, cpu, memory);

      assertThat(plan.memory().budget()).isEqualTo(new MemoryPlan.Budget(memory, true));
      assertThat(plan.longest())
          .extracting(Longest::mode)
          .containsExactly(GradientCheckpointing.values());
      for (Longest longest : plan.longest()) {
        assertThat(longest.limited()).isFalse();
        assertThat(longest.tokens()).isGreaterThan(16);
        assertThat(fits(longest, longest.tokens(), memory, cpu)).isTrue();
        assertThat(fits(longest, longest.tokens() + 1, memory, cpu)).isFalse();
      }
      assertThat(plan.longest().get(1).tokens()).isGreaterThan(plan.longest().get(0).tokens());
      assertThat(plan.longest().get(2).tokens()).isEqualTo(plan.longest().get(1).tokens());
    }
  }

  @Test
  void theModelsPositionsLimitRowsToo() throws IOException {
    SftConfig config = TinyRun.config(directory, 8).build();
    try (Backend cpu = CpuBackend.create(1);
        Preparation preparation = Preparation.open(config)) {
      int positions = preparation.inputs().checkpoint().config().maxPositions();

      assertThat(TrainingPlan.of(config, cpu, 1L << 45).longest())
          .allSatisfy(longest -> {
            assertThat(longest.tokens()).isEqualTo(positions);
            assertThat(longest.limited()).isTrue();
          });
    }
  }

  @Test
  @Tag("gpu")
  void theDeviceGivesWhatWasPlanned() throws IOException {
    assumeTrue(CudaBackend.isUsable(), "no GPU that this build can use");
    // Large enough that what the run takes shows beside the driver's own hundreds of MB.
    SftConfig config =
        oneRow(GradientCheckpointing.OFF, 4096).modelNameOrPath(largeModel()).maxSteps(1).build();
    try (Backend gpu = CudaBackend.create(0);
        Preparation preparation = Preparation.open(config)) {
      TrainingPlan plan = TrainingPlan.of(config, gpu, null);
      long before = gpu.reservedBytes();
      try (TrainingSession session = TrainingSession.open(preparation.inputs(), gpu, config)) {
        session.update(1);
        assertThat((double) gpu.reservedBytes())
            .isCloseTo(plan.memory().totalBytes(), Percentage.withPercentage(2));
        assertThat(gpu.reservedBytes()).isGreaterThan(before);
      }
      assertThat(plan.stepSeconds()).isPresent();
    }
  }

  /// Four layers of an 8B model, 1.7 GB in BF16, with the tiny model's tokenizer.
  private Path largeModel() throws IOException {
    Path tiny = TinyRun.model();
    String shape =
        Files.readString(tiny.resolve("config.json"))
            .replace("\"head_dim\": 10", "\"head_dim\": 128")
            .replace("\"hidden_size\": 40", "\"hidden_size\": 4096")
            .replace("\"intermediate_size\": 72", "\"intermediate_size\": 14336")
            .replace("\"max_position_embeddings\": 128", "\"max_position_embeddings\": 4096")
            .replace("\"num_attention_heads\": 4", "\"num_attention_heads\": 32")
            .replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 4")
            .replace("\"num_key_value_heads\": 4", "\"num_key_value_heads\": 8");
    Path config = Files.writeString(directory.resolve("large.json"), shape);
    Path model = directory.resolve("large");
    RandomCheckpoint.write(
        config,
        model,
        new RandomCheckpoint.Settings(1, DType.BF16, false, RandomCheckpoint.SHARD_BYTES));
    for (String file : List.of("tokenizer.json", "tokenizer_config.json")) {
      Files.copy(tiny.resolve(file), model.resolve(file));
    }
    return model;
  }

  private boolean fits(Longest longest, int tokens, long memory, Backend backend)
      throws IOException {
    SftConfig config = oneRow(longest.mode(), tokens).memoryLimit(memory).build();
    try (Preparation preparation = Preparation.open(config)) {
      assertThat(preparation.inputs().rows().length(0)).isEqualTo(tokens);
      return TrainingSession.plan(preparation.inputs(), backend, config).fits();
    }
  }

  /// A run on a single row of so many tokens.
  private SftConfigBuilder oneRow(GradientCheckpointing mode, int tokens) throws IOException {
    Path rows = directory.resolve("row-" + tokens + ".jsonl");
    Files.writeString(rows, "{\"text\": \"" + "yes no ".repeat(tokens) + "\"}\n");
    return TinyRun.config(directory, 8)
        .datasetPath(rows)
        .maxLength(tokens)
        .overlongPolicy(OverlongPolicy.TRUNCATE)
        // The row is cut to its length on purpose.
        .allowFindings(List.of(DataFinding.Allowable.values()))
        .perDeviceTrainBatchSize(1)
        .gradientCheckpointing(mode);
  }

  /// Notes the size of every arena that stays.
  private static Backend recording(Backend real, List<Long> sizes) {
    return proxy(
        real,
        (name, arguments) -> {
          if (name.equals("arena") && !LOADING.equals(arguments[0])) {
            sizes.add((Long) arguments[1]);
          }
          return null;
        });
  }

  /// @param answer to a call, null for the real one
  private static Backend proxy(Backend real, BiFunction<String, Object[], Object> answer) {
    return (Backend)
        Proxy.newProxyInstance(
            Backend.class.getClassLoader(),
            new Class<?>[] {Backend.class},
            (_, method, arguments) -> {
              Object answered = answer.apply(method.getName(), arguments);
              if (answered != null) {
                return answered;
              }
              try {
                return method.invoke(real, arguments);
              } catch (InvocationTargetException e) {
                throw e.getCause();
              }
            });
  }
}
