package dev.gatun.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gatun.Tolerances;
import dev.gatun.cpu.CpuBackend;
import dev.gatun.op.Backend;
import dev.gatun.tensor.Tensor;
import dev.gatun.train.SftConfig.OptimizerName;
import dev.gatun.train.SftConfig.SamplingStrategy;
import dev.gatun.train.TrainingSession.UpdateFigures;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// What must not change a run.
class LoopInvariantsTest {
  private static final Backend backend = CpuBackend.create();

  @TempDir private Path directory;

  @AfterAll
  static void closeBackend() {
    backend.close();
  }

  /// SGD moves by the gradient itself; AdamW would blow rounding errors up where gradients vanish.
  private SftConfigBuilder eightRowsAnUpdate() throws IOException {
    return TinyRun.config(directory, 16)
        .optim(OptimizerName.SGD)
        .learningRate(0.5)
        .perDeviceTrainBatchSize(8)
        .maxSteps(4);
  }

  @Test
  void accumulationIsTheSameAsALargeBatch() throws IOException {
    SftConfig whole = eightRowsAnUpdate().build();
    SftConfig parts =
        eightRowsAnUpdate().perDeviceTrainBatchSize(1).gradientAccumulationSteps(8).build();

    assertSame(TinyRun.train(parts, backend), TinyRun.train(whole, backend));
  }

  @Test
  void packingIsTheSameAsSeparateRows() throws IOException {
    SftConfig separate = eightRowsAnUpdate().perDeviceTrainBatchSize(16).build();
    SftConfig packed = eightRowsAnUpdate().packing(true).maxLength(96).build();
    int rows = TinyRun.size(packed);
    assertThat(rows).isBetween(2, 15);
    packed = packed.toBuilder().perDeviceTrainBatchSize(rows).build();

    assertSame(TinyRun.train(packed, backend), TinyRun.train(separate, backend));
  }

  @Test
  void checkpointingChangesNoBit() throws IOException {
    SftConfigBuilder builder =
        TinyRun.config(directory, 8)
            .loraDropout(0.2)
            .neftuneNoiseAlpha(5.0)
            .trainSamplingStrategy(SamplingStrategy.RANDOM);

    TinyRun.Outcome on = TinyRun.train(builder.gradientCheckpointing(true).build(), backend);
    TinyRun.Outcome onHost = TinyRun.train(builder.activationOffloading(true).build(), backend);
    SftConfigBuilder without = builder.activationOffloading(false).gradientCheckpointing(false);
    TinyRun.Outcome off = TinyRun.train(without.build(), backend);

    assertIdentical(on, off);
    assertIdentical(onHost, off);
  }

  @Test
  void dropoutAndNoiseFollowTheSeed() throws IOException {
    SftConfigBuilder builder = TinyRun.config(directory, 8).loraDropout(0.5).maxSteps(2);
    TinyRun.Outcome first = TinyRun.train(builder.seed(1).build(), backend);

    assertIdentical(TinyRun.train(builder.seed(1).build(), backend), first);
    assertThat(TinyRun.train(builder.seed(2).build(), backend).updates().getLast().loss())
        .isNotEqualTo(first.updates().getLast().loss());
    assertThat(differs(TinyRun.train(builder.seed(1).loraDropout(0).build(), backend), first))
        .isTrue();
    assertThat(
            TinyRun.train(builder.loraDropout(0).neftuneNoiseAlpha(20.0).build(), backend)
                .updates()
                .getFirst()
                .loss())
        .isNotEqualTo(first.updates().getFirst().loss());
  }

  @Test
  void theNumberOfThreadsChangesNoBit() throws IOException {
    SftConfig config = TinyRun.config(directory, 8).loadIn4bit(true).build();
    try (Backend one = CpuBackend.create(1);
        Backend three = CpuBackend.create(3)) {
      assertIdentical(TinyRun.train(config, three), TinyRun.train(config, one));
    }
  }

  @Test
  void clippingScalesTheUpdate() throws IOException {
    SftConfig free = eightRowsAnUpdate().maxGradNorm(0).maxSteps(1).learningRate(1).build();
    UpdateFigures update = TinyRun.train(free, backend).updates().getFirst();
    double limit = update.gradientNorm() / 4;
    SftConfig clipped = free.toBuilder().maxGradNorm(limit).learningRate(4).build();

    assertSame(TinyRun.train(clipped, backend), TinyRun.train(free, backend));
  }

  @Test
  void evaluationDoesNotDependOnTheBatchSizeButTrlsFigureDoes() throws IOException {
    SftConfigBuilder builder =
        TinyRun.config(directory, 8).evalDatasetPath(TinyRun.rows(directory, 7));
    EvaluationResult one = TinyRun.evaluate(builder.perDeviceEvalBatchSize(1).build(), backend);
    EvaluationResult four = TinyRun.evaluate(builder.perDeviceEvalBatchSize(4).build(), backend);

    assertThat(four.loss()).isCloseTo(one.loss(), within(Tolerances.SUMMATION_ORDER * one.loss()));
    assertThat(four.rowWeightedLoss()).isNotEqualTo(one.rowWeightedLoss());
    assertThat(four.targets()).isEqualTo(one.targets());
    assertThat(four.rows()).isEqualTo(7);
  }

  private static void assertSame(TinyRun.Outcome actual, TinyRun.Outcome expected) {
    assertThat(actual.updates()).hasSameSizeAs(expected.updates());
    for (int i = 0; i < expected.updates().size(); i++) {
      UpdateFigures a = actual.updates().get(i);
      UpdateFigures e = expected.updates().get(i);
      assertThat(a.loss())
          .as("loss %d", i)
          .isCloseTo(e.loss(), within(Tolerances.SUMMATION_ORDER * e.loss()));
      assertThat(a.gradientNorm())
          .as("gradient norm %d", i)
          .isCloseTo(e.gradientNorm(), within(Tolerances.SUMMATION_ORDER * e.gradientNorm()));
      assertThat(a.targets()).isEqualTo(e.targets());
    }
    expected
        .parameters()
        .forEach((name, value) -> assertClose(name, actual.parameter(name), value));
  }

  private static void assertClose(String name, Tensor actual, Tensor expected) {
    float[] a = actual.toFloats();
    float[] e = expected.toFloats();
    for (int i = 0; i < e.length; i++) {
      assertThat((double) a[i])
          .as("%s[%d]", name, i)
          .isCloseTo(e[i], within(Tolerances.SUMMATION_ORDER * (1 + Math.abs(e[i]))));
    }
  }

  private static void assertIdentical(TinyRun.Outcome actual, TinyRun.Outcome expected) {
    assertThat(actual.updates()).isEqualTo(expected.updates());
    expected
        .parameters()
        .forEach((name, value) ->
            assertThat(actual.parameter(name).toFloats()).as(name).isEqualTo(value.toFloats()));
  }

  private static boolean differs(TinyRun.Outcome a, TinyRun.Outcome b) {
    return a.parameters().keySet().stream()
        .anyMatch(
            name -> !Arrays.equals(a.parameter(name).toFloats(), b.parameter(name).toFloats()));
  }
}
