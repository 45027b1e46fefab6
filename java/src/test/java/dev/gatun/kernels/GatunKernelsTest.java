package dev.gatun.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.FailureException;
import dev.gatun.cuda.Context;
import dev.gatun.cuda.Device;
import dev.gatun.cuda.DeviceBuffer;
import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.Fake;
import dev.gatun.cuda.FakeDriver;
import dev.gatun.op.ArenaExhaustedException;
import dev.gatun.tensor.DType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/// Ownership and checks; what the kernels compute needs a GPU.
@ExtendWith(FakeDriver.class)
class GatunKernelsTest {
  private static final long STREAM = 0x1234;
  private static final int ROWS = 4;
  private static final int IN = 128;
  private static final int OUT = 192;

  GatunKernelsTest() {
    System.setProperty(FakeDriver.KERNELS, "stub");
  }

  @Test
  void runsOnTheCallersStreamAndFreesNothingOfTheirs() {
    try (Context theirs = Context.open(Device.of(0));
        DeviceBuffer memory = theirs.allocate("all", 1 << 20)) {
      GatunKernels kernels = GatunKernels.adopt(STREAM);
      Linear layer = layer(memory.pointer());
      kernels.reserveScratch(kernels.scratchBytes(layer));
      kernels.linear(layer);
      assertThat(Fake.launch().stream()).isEqualTo(STREAM);
      assertThat(Fake.calls()).contains("cuLaunchKernel");
      kernels.close();
      kernels.close();
      assertThat(Fake.calls()).doesNotContain("cuStreamDestroy_v2");
      assertThat(Fake.calls()).doesNotContain("cuDevicePrimaryCtxRelease_v2");
      assertThat(Fake.get(Fake.State.BUFFERS)).isOne();
      assertThat(Fake.get(Fake.State.PINNED)).isZero();
      assertThatThrownBy(() -> kernels.linear(layer)).isInstanceOf(IllegalStateException.class);
    }
  }

  @Test
  void scratchMayBeTheCallers() {
    try (Context theirs = Context.open(Device.of(0));
        DeviceBuffer memory = theirs.allocate("all", 1 << 20);
        DeviceBuffer scratch = theirs.allocate("scratch", 1 << 20);
        GatunKernels kernels = GatunKernels.adopt(STREAM)) {
      DevicePtr at = memory.pointer();
      // What the update makes of x has no place of its own.
      Lora update = new Lora(Matrix.bf16(at, 64, IN), Matrix.bf16(at, OUT, 64), 1);
      Linear layer = layer(at).withLora(update);
      assertThatThrownBy(() -> kernels.linear(layer))
          .isInstanceOf(ArenaExhaustedException.class)
          .hasMessageContaining("call reserveScratch or useScratch first");
      int before = Fake.get(Fake.State.BUFFERS);
      kernels.useScratch(scratch.pointer(), scratch.byteSize());
      kernels.linear(layer);
      assertThat(Fake.get(Fake.State.BUFFERS)).isEqualTo(before);
      assertThatThrownBy(() -> kernels.useScratch(scratch.pointer().plus(8), 256))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("multiple of 256");
      kernels.useScratch(scratch.pointer(), 256);
      assertThatThrownBy(() -> kernels.linear(layer)).isInstanceOf(ArenaExhaustedException.class);
    }
  }

  @Test
  void wrongAddressesNeverReachAKernel() {
    try (Context theirs = Context.open(Device.of(0));
        DeviceBuffer memory = theirs.allocate("all", 1 << 16);
        GatunKernels kernels = GatunKernels.adopt(STREAM)) {
      kernels.reserveScratch(1 << 20);
      Nf4Matrix weight = weight(memory.pointer());
      Matrix y = Matrix.bf16(memory.pointer(), OUT, IN);
      kernels.dequantize(y, weight);
      int before = Fake.calls().size();
      DevicePtr nowhere = new DevicePtr(0x10000);
      assertThatThrownBy(() -> kernels.dequantize(Matrix.bf16(nowhere, OUT, IN), weight))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage(
              "y: 49152 bytes at 0x10000 are not within memory that cuda:0 Fake GPU 0 can reach");
      Matrix overrun = new Matrix(memory.pointer(), DType.BF16, OUT, IN, 1 << 24);
      assertThatThrownBy(() -> kernels.dequantize(overrun, weight))
          .isInstanceOf(IllegalArgumentException.class);
      Fake.set(Fake.State.OWNER, 3);
      assertThatThrownBy(() -> kernels.dequantize(y, weight))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("is memory of cuda:3, not of cuda:0 Fake GPU 0");
      assertThat(Fake.calls().subList(before, Fake.calls().size()))
          .containsOnly("cuPointerGetAttribute");
    }
  }

  @Test
  void operandsThatDoNotFitAreRefusedWhenDescribed() {
    DevicePtr at = new DevicePtr(0x4000);
    Matrix x = Matrix.bf16(at, ROWS, IN);
    Matrix y = Matrix.bf16(at, ROWS, OUT);
    assertThatThrownBy(() -> new Linear(y, Matrix.bf16(at, ROWS, IN + 1), weight(at)))
        .hasMessage("x is BF16 [4, 129] and must be BF16 [4, 128]");
    assertThatThrownBy(() -> new Linear(Matrix.f32(at, ROWS, OUT), x, weight(at)))
        .hasMessage("y is F32 [4, 192] and must be BF16 [4, 192]");
    Matrix a = Matrix.bf16(at, 8, IN);
    assertThatThrownBy(() -> new Lora(a, Matrix.bf16(at, OUT, 9), 1))
        .hasMessage("B is BF16 [192, 9] and must be BF16 [192, 8]");
    Linear layer = new Linear(y, x, weight(at)).withLora(new Lora(a, Matrix.bf16(at, OUT, 8), 1));
    assertThatThrownBy(() ->
            new LinearBackward(layer, y).withLora(Matrix.f32(at, 8, IN), Matrix.f32(at, OUT, 8)))
        .hasMessageContaining("give the layer a loraInner");
    assertThatThrownBy(() -> Matrix.bf16(new DevicePtr(0x4001), 1, 1))
        .hasMessage("0x4001 is no address of BF16 elements");
    assertThatThrownBy(() -> Matrix.bf16(DevicePtr.NULL, 1, 1))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> x.withRowStride(IN - 1)).isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void aThreadWithoutAContextIsTold() {
    assertThatThrownBy(() -> GatunKernels.adopt(STREAM))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("no CUDA context is current on this thread");
  }

  @Test
  void aBuildWithoutKernelsLeavesNothingBehind() {
    System.setProperty(FakeDriver.KERNELS, "none");
    try (Context theirs = Context.open(Device.of(0));
        DeviceBuffer memory = theirs.allocate("all", 256)) {
      assertThat(memory.byteSize()).isEqualTo(256);
      assertThatThrownBy(() -> GatunKernels.adopt(STREAM))
          .isInstanceOf(FailureException.class)
          .hasMessageContaining("this build has no GPU kernels");
      assertThat(Fake.get(Fake.State.BUFFERS)).isOne();
      assertThat(Fake.get(Fake.State.PINNED)).isZero();
    }
  }

  private static Linear layer(DevicePtr at) {
    return new Linear(Matrix.bf16(at, ROWS, OUT), Matrix.bf16(at.plus(8192), ROWS, IN), weight(at))
        .withBias(Vector.bf16(at, OUT));
  }

  private static Nf4Matrix weight(DevicePtr at) {
    return Nf4Matrix.plain(at, at, OUT, IN);
  }
}
