package dev.gatun.cuda.op;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.cuda.Fake;
import dev.gatun.cuda.FakeDriver;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/// What the launcher of the low-rank products asks the driver for, on the driver's double.
@ExtendWith(FakeDriver.class)
class LoraLaunchTest {
  private static final int ROWS = 1000;
  private static final int WIDE = 1024;

  LoraLaunchTest() {
    System.setProperty(FakeDriver.KERNELS, "stub");
    System.setProperty("gatun.lib.cublaslt", "/nonexistent");
  }

  @Test
  void bothGradientsAreOnePassAndOneSumInThePlannedScratch() {
    for (int rank : new int[] {8, 16, 40, 64}) {
      try (CudaBackend backend = CudaBackend.create(0);
          Launcher launcher = new Launcher(backend.context(), backend.stream());
          TensorArena arena = backend.arena("place", 32 << 20);
          TensorArena scratch =
              backend.arena("scratch", LoraProducts.scratchBytes(ROWS, WIDE, rank))) {
        LoraProducts products = new LoraProducts(launcher);
        Tensor dy = arena.allocate(DType.BF16, Shape.of(ROWS, WIDE));
        Tensor b = arena.allocate(DType.BF16, Shape.of(WIDE, rank));
        Tensor a = arena.allocate(DType.BF16, Shape.of(rank, WIDE));
        Tensor inner = arena.allocate(DType.BF16, Shape.of(ROWS, rank));
        Tensor dB = arena.allocate(DType.F32, Shape.of(WIDE, rank));
        Tensor dA = arena.allocate(DType.F32, Shape.of(rank, WIDE));

        assertThat(launches(() -> products.backwardB(inner, dB, dy, b, inner, 2, scratch)))
            .isEqualTo(2);
        assertThat(launches(() -> products.backwardB(null, dB, dy, b, inner, 2, scratch)))
            .isEqualTo(2);
        assertThat(launches(() -> products.inner(inner, dy, a, scratch))).isEqualTo(2);
        assertThat(launches(() -> products.gradientA(dA, inner, dy, scratch))).isEqualTo(2);
        assertThat(scratch.mark()).isZero();
        assertThatThrownBy(() -> products.backwardB(null, dB, dy, b, null, 2, scratch))
            .isInstanceOf(IllegalArgumentException.class);
      }
    }
  }

  @Test
  void aBlockTakesTheSharedMemoryForItsRing() {
    try (CudaBackend backend = CudaBackend.create(0);
        Launcher launcher = new Launcher(backend.context(), backend.stream());
        TensorArena arena = backend.arena("place", 1 << 20);
        TensorArena scratch = backend.arena("scratch", LoraProducts.scratchBytes(512, 64, 16))) {
      // The last launch is the product itself where no range of columns needs summing.
      Tensor x = arena.allocate(DType.BF16, Shape.of(512, 64));
      Tensor a = arena.allocate(DType.BF16, Shape.of(16, 64));
      Tensor inner = arena.allocate(DType.BF16, Shape.of(512, 16));
      new LoraProducts(launcher).inner(inner, x, a, scratch);

      assertThat(Fake.launch().grid()).isEqualTo(List.of(1, 4, 1));
      assertThat(Fake.launch().block()).isEqualTo(List.of(256, 1, 1));
      assertThat(Fake.launch().shared()).isEqualTo(6 * (128 * 128 + 128 * 16) * 2);
    }
  }

  @Test
  void operandsThatDoNotSuitAreRefused() {
    try (CudaBackend backend = CudaBackend.create(0);
        TensorArena arena = backend.arena("place", 4 << 20)) {
      Tensor x = arena.allocate(DType.BF16, Shape.of(512, 192));
      Tensor a = arena.allocate(DType.BF16, Shape.of(16, 192));

      assertThat(LoraProducts.suits(16, x, a)).isTrue();
      assertThat(LoraProducts.suits(64, x.columns(8, 128), a)).isTrue();
      assertThat(LoraProducts.suits(12, x, a)).as("rank").isFalse();
      assertThat(LoraProducts.suits(72, x, a)).as("rank").isFalse();
      assertThat(LoraProducts.suits(0, x, a)).as("rank").isFalse();
      assertThat(LoraProducts.suits(16, x.rows(0, 255), a)).as("few rows").isFalse();
      assertThat(LoraProducts.suits(16, x.columns(0, 96), a)).as("wide").isFalse();
      assertThat(LoraProducts.suits(16, x.columns(4, 128), a)).as("address").isFalse();
      assertThat(LoraProducts.suits(16, x, a.columns(4, 128))).as("address").isFalse();
      Tensor odd = arena.allocate(DType.BF16, Shape.of(512, 68)).columns(0, 64);
      assertThat(LoraProducts.suits(16, odd, a)).as("stride").isFalse();
      Tensor single = arena.allocate(DType.F32, Shape.of(512, 64));
      assertThat(LoraProducts.suits(16, single, a)).as("type").isFalse();
    }
  }

  private static long launches(Runnable work) {
    int before = Fake.calls().size();
    work.run();
    return Fake.calls().stream().skip(before).filter(call -> call.startsWith("cuLaunch")).count();
  }
}
