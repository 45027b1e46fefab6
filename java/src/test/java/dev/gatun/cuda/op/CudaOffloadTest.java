package dev.gatun.cuda.op;

import static dev.gatun.train.SftConfig.OptimizerName.PAGED_ADAMW_32BIT;
import static dev.gatun.train.SftConfig.OptimizerName.PAGED_ADAMW_8BIT;
import static dev.gatun.train.SftConfig.OptimizerName.PAGED_LION_8BIT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.cuda.Fake;
import dev.gatun.cuda.FakeDriver;
import dev.gatun.nn.CheckpointPolicy;
import dev.gatun.op.Fence;
import dev.gatun.op.OffloadBuffer;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import dev.gatun.train.MemoryPlan;
import dev.gatun.train.SftConfig.OptimizerName;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/// Copies beside the compute stream, on the driver's double, whose copies are real.
@ExtendWith(FakeDriver.class)
class CudaOffloadTest {
  private static final List<String> ORDER = List.of("Record", "Wait", "Memcpy");

  CudaOffloadTest() {
    System.setProperty(FakeDriver.KERNELS, "stub");
  }

  @Test
  void copiesGoOutAndComeBackInTheOrderOfEvents() {
    try (CudaBackend backend = CudaBackend.create(0);
        TensorArena arena = backend.arena("place", 64);
        OffloadBuffer buffer = backend.offload("inputs", List.of(64L, 64L))) {
      Tensor x = arena.allocate(DType.F32, Shape.of(16));
      float[] values = values(16);
      backend.upload(x, Tensor.ofFloats(x.shape(), values));
      int before = Fake.calls().size();
      buffer.store(1, x);
      buffer.await(1);
      backend.tensor().zero(x);
      buffer.prefetch(1, x);
      buffer.await(1);

      assertThat(orderOfCallsFrom(before))
          .containsExactly(
              "cuEventRecord",
              "cuStreamWaitEvent",
              "cuMemcpyDtoHAsync_v2",
              "cuEventRecord",
              "cuStreamWaitEvent",
              "cuEventRecord",
              "cuStreamWaitEvent",
              "cuMemcpyHtoDAsync_v2",
              "cuEventRecord",
              "cuStreamWaitEvent");
      assertThat(backend.download(x).toFloats()).isEqualTo(values);
    }
    assertNothingIsLeft();
  }

  @Test
  void uploadsOfAnySizeArriveWhole() {
    int count = 6_000_001; // three halves of the staging memory
    try (CudaBackend backend = CudaBackend.create(0);
        TensorArena arena = backend.arena("place", 4L * count + 1024);
        Fence fence = backend.fence()) {
      Tensor small = arena.allocate(DType.F32, Shape.of(3));
      Tensor large = arena.allocate(DType.F32, Shape.of(count));
      float[] values = values(count);
      for (int round = 0; round < 3; round++) {
        backend.upload(small, Tensor.ofFloats(small.shape(), round, 1, 2));
        backend.upload(large, Tensor.ofFloats(large.shape(), values));
        assertThat(backend.download(small).toFloats()).containsExactly(round, 1, 2);
        assertThat(backend.download(large).toFloats()).isEqualTo(values);
        backend.tensor().zero(large);
        backend.uploadAfter(fence, large, Tensor.ofFloats(large.shape(), values).segment());
        fence.mark();
        assertThat(backend.download(large).toFloats()).isEqualTo(values);
      }
    }
    assertNothingIsLeft();
  }

  @Test
  void hostMemoryIsWrittenReadAndClearedAsAnyOther() {
    try (CudaBackend backend = CudaBackend.create(0)) {
      TensorArena arena = backend.hostArena("state", 1024);
      Tensor first = arena.allocate(DType.F32, Shape.of(16));
      Tensor second = arena.allocate(DType.F32, Shape.of(16));
      backend.upload(first, Tensor.ofFloats(first.shape(), values(16)));
      backend.upload(second, Tensor.ofFloats(second.shape(), values(16)));
      backend.tensor().zero(first);

      assertThat(backend.download(first).toFloats()).containsOnly(0);
      assertThat(backend.download(second.rows(3, 2)).toFloats()).containsExactly(3, 4);
      assertThat(DeviceStorage.pointer(second).address() - DeviceStorage.pointer(first).address())
          .isEqualTo(TensorArena.ALIGNMENT);
      arena.close();
      assertThatThrownBy(() -> DeviceStorage.pointer(first))
          .isInstanceOf(IllegalStateException.class);
      assertThatThrownBy(() -> arena.allocate(DType.F32, Shape.of(1)))
          .isInstanceOf(IllegalStateException.class);
    }
    assertNothingIsLeft();
  }

  @Test
  void smallUploadsWaitForNothing() {
    try (CudaBackend backend = CudaBackend.create(0);
        TensorArena arena = backend.arena("place", 64)) {
      Tensor x = arena.allocate(DType.I32, Shape.of(4));
      int before = Fake.calls().size();
      for (int i = 0; i < 100; i++) {
        backend.upload(x, Tensor.ofInts(x.shape(), i, i, i, i));
      }
      assertThat(Fake.calls().stream().skip(before))
          .noneMatch(call -> call.contains("Synchronize"));
    }
  }

  @Test
  void aFenceOfAnotherBackendIsRefused() {
    try (CudaBackend backend = CudaBackend.create(0);
        CudaBackend other = CudaBackend.create(0);
        TensorArena arena = backend.arena("place", 64);
        Fence fence = other.fence()) {
      Tensor x = arena.allocate(DType.I32, Shape.of(1));
      assertThatThrownBy(() -> backend.uploadAfter(fence, x, Tensor.ofInts(x.shape(), 1).segment()))
          .isInstanceOf(IllegalArgumentException.class);
    }
  }

  /// Kernels of the double do nothing, so figures are zero; memory and order are as on a GPU.
  @Test
  void aRunReservesWhatWasPlannedAndLeavesNothing() throws IOException {
    System.setProperty("gatun.lib.cublaslt", "/nonexistent"); // the double of it takes its time
    Path directory = Files.createTempDirectory("gatun-offload");
    try {
      TinyTraining training = new TinyTraining(directory);
      try (CudaBackend backend = CudaBackend.create(0)) {
        training.run(backend, CheckpointPolicy.OFFLOAD, 1);
        List<String> open = backend.context().openChildren();
        for (CheckpointPolicy policy : CheckpointPolicy.values()) {
          TinyTraining.Outcome run = training.run(backend, policy, 2);
          TinyTraining.Outcome idle =
              new TinyTraining.Outcome(List.of(), new byte[0], run.plan(), open);

          assertThat(run.openBytes("device") - idle.openBytes("device"))
              .as(policy + " " + run.open() + run.plan().table())
              .isEqualTo(TinyTraining.arenaBytes(run.plan()));
          assertThat(run.openBytes("pinned") - idle.openBytes("pinned"))
              .as(policy + " pinned")
              .isEqualTo(run.plan().host().bytes());
          assertThat(run.plan().host().bytes() > 0).isEqualTo(policy == CheckpointPolicy.OFFLOAD);
          assertThat(backend.context().openChildren()).isEqualTo(open);
        }
        TinyTraining.Outcome rows = training.runWithTokens(backend, 2);
        TinyTraining.Outcome before =
            new TinyTraining.Outcome(List.of(), new byte[0], rows.plan(), open);
        assertThat(rows.openBytes("device") - before.openBytes("device"))
            .as(rows.plan().table())
            .isEqualTo(TinyTraining.arenaBytes(rows.plan()));
        for (OptimizerName paged : List.of(PAGED_ADAMW_32BIT, PAGED_ADAMW_8BIT, PAGED_LION_8BIT)) {
          TinyTraining.Outcome run = training.run(backend, paged, 2);
          TinyTraining.Outcome idle =
              new TinyTraining.Outcome(List.of(), new byte[0], run.plan(), open);

          assertThat(run.openBytes("device") - idle.openBytes("device"))
              .as(paged + " " + run.open() + run.plan().table())
              .isEqualTo(TinyTraining.arenaBytes(run.plan()));
          assertThat(run.openBytes("pinned") - idle.openBytes("pinned"))
              .as(paged + " pinned")
              .isEqualTo(run.plan().host().bytes())
              .isPositive();
          assertThat(backend.context().openChildren()).isEqualTo(open);
        }
        MemoryPlan least = training.run(backend, CheckpointPolicy.OFFLOAD, 1).plan();
        MemoryPlan most = training.run(backend, CheckpointPolicy.NONE, 1).plan();
        for (long limit : TinyTraining.limits(least, most)) {
          TinyTraining.Outcome run = training.runWithin(backend, limit, 1);
          TinyTraining.Outcome idle =
              new TinyTraining.Outcome(List.of(), new byte[0], run.plan(), open);

          assertThat(run.openBytes("device") - idle.openBytes("device"))
              .as(run.plan().table())
              .isEqualTo(TinyTraining.arenaBytes(run.plan()))
              .isLessThanOrEqualTo(limit);
          assertThat(run.openBytes("pinned") - idle.openBytes("pinned"))
              .as(run.plan().table())
              .isEqualTo(run.plan().host().bytes());
          assertThat(backend.context().openChildren()).isEqualTo(open);
        }
      }
      assertNothingIsLeft();
    } finally {
      try (Stream<Path> files = Files.walk(directory)) {
        files.sorted((a, b) -> b.compareTo(a)).forEach(path -> path.toFile().delete());
      }
    }
  }

  private static float[] values(int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = i % 1_000_003;
    }
    return values;
  }

  private static List<String> orderOfCallsFrom(int before) {
    return Fake.calls().stream()
        .skip(before)
        .filter(call -> ORDER.stream().anyMatch(call::contains))
        .toList();
  }

  private static void assertNothingIsLeft() {
    assertThat(Fake.get(Fake.State.BUFFERS)).isZero();
    assertThat(Fake.get(Fake.State.PINNED)).isZero();
  }
}
