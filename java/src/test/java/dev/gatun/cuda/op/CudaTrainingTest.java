package dev.gatun.cuda.op;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gatun.cpu.CpuBackend;
import dev.gatun.nn.CheckpointPolicy;
import dev.gatun.op.Backend;
import dev.gatun.train.MemoryPlan;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Whole runs on a GPU.
@Tag("gpu")
class CudaTrainingTest {
  private static final int STEPS = 20;
  private static final long GRAIN_BYTES = 4L << 20; // the driver hands out pages of 2 MiB

  @TempDir private Path directory;

  @Test
  void everyCheckpointPolicyTrainsTheSameAdapterCloseToTheCpus() throws IOException {
    TinyTraining training = new TinyTraining(directory);
    TinyTraining.Outcome cpu;
    try (Backend backend = CpuBackend.create()) {
      cpu = training.run(backend, CheckpointPolicy.NONE, STEPS);
    }
    try (Backend backend = Gpu.open()) {
      TinyTraining.Outcome first = training.run(backend, CheckpointPolicy.NONE, STEPS);
      assertClose(first.losses(), cpu.losses());
      for (CheckpointPolicy policy : CheckpointPolicy.values()) {
        TinyTraining.Outcome again = training.run(backend, policy, STEPS);

        assertThat(again.losses()).as(policy + " losses").isEqualTo(first.losses());
        assertThat(again.adapter()).as(policy + " adapter").isEqualTo(first.adapter());
      }
      MemoryPlan least = training.run(backend, CheckpointPolicy.OFFLOAD, 1).plan();
      Set<Long> decoded = new TreeSet<>();
      for (long limit : TinyTraining.limits(least, first.plan())) {
        TinyTraining.Outcome again = training.runWithin(backend, limit, STEPS);
        decoded.add(TinyTraining.decodedBytes(again.plan()));

        assertThat(TinyTraining.arenaBytes(again.plan())).isLessThanOrEqualTo(limit);
        assertThat(again.losses()).as(again.plan().table()).isEqualTo(first.losses());
        assertThat(again.adapter()).as(again.plan().table()).isEqualTo(first.adapter());
      }
      assertThat(decoded).as("none, some and all layers decoded").hasSize(3);
    }
  }

  // As far from single precision as PyTorch's own bfloat16 run of these updates, and no farther.
  private static void assertClose(List<Double> actual, List<Double> expected) {
    double bound = TinyTrainingGolden.read().worstOfBfloat16();
    assertThat(actual).hasSize(STEPS);
    for (int i = 0; i < STEPS; i++) {
      assertThat(actual.get(i))
          .as("loss of step %d", i + 1)
          .isCloseTo(expected.get(i), within(bound));
    }
    assertThat(actual.getLast()).isLessThan(0.8 * actual.getFirst());
  }

  @Test
  void whatIsReservedIsWhatWasPlannedAndNothingStays() throws IOException {
    TinyTraining training = new TinyTraining(directory);
    try (CudaBackend backend = (CudaBackend) Gpu.open()) {
      // Modules and libraries take memory once.
      training.run(backend, CheckpointPolicy.OFFLOAD, 1);
      List<String> open = backend.context().openChildren();
      long free = backend.context().freeMemoryBytes();
      long device = bytes(open, "device");
      long pinned = bytes(open, "pinned");
      for (CheckpointPolicy policy : CheckpointPolicy.values()) {
        TinyTraining.Outcome run = training.run(backend, policy, 2);
        MemoryPlan plan = run.plan();

        assertThat(run.openBytes("device") - device)
            .as(policy + " device")
            .isEqualTo(TinyTraining.arenaBytes(plan));
        assertThat(run.openBytes("pinned") - pinned)
            .as(policy + " pinned")
            .isEqualTo(plan.host().bytes());
        assertThat(plan.host().bytes() > 0).isEqualTo(policy == CheckpointPolicy.OFFLOAD);
        assertThat(backend.context().openChildren()).isEqualTo(open);
        assertThat(backend.context().freeMemoryBytes()).isCloseTo(free, within(GRAIN_BYTES));
      }
      MemoryPlan least = training.run(backend, CheckpointPolicy.OFFLOAD, 1).plan();
      MemoryPlan most = training.run(backend, CheckpointPolicy.NONE, 1).plan();
      for (long limit : TinyTraining.limits(least, most)) {
        TinyTraining.Outcome run = training.runWithin(backend, limit, 2);
        String table = run.plan().table();

        assertThat(run.openBytes("device") - device)
            .as(table)
            .isEqualTo(TinyTraining.arenaBytes(run.plan()))
            .isLessThanOrEqualTo(limit);
        assertThat(run.openBytes("pinned") - pinned).as(table).isEqualTo(run.plan().host().bytes());
        assertThat(backend.context().openChildren()).isEqualTo(open);
      }
    }
  }

  private static long bytes(List<String> open, String kind) {
    return new TinyTraining.Outcome(List.of(), new byte[0], new MemoryPlan(List.of(), 0), open)
        .openBytes(kind);
  }
}
