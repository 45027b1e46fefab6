package dev.gatun.cuda;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.FailureException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

@ExtendWith(FakeDriver.class)
class ContextTest {
  @Test
  void readsTheDevice() {
    Device device = Device.of(0);
    assertThat(device.name()).isEqualTo("Fake GPU 0");
    assertThat(device.capability()).isEqualTo(90);
    assertThat(device.memoryBytes()).isEqualTo(80L << 30);
    assertThat(device.multiprocessors()).isEqualTo(132);
    assertThat(device.limits().sharedPerBlock()).isEqualTo(232448);
    assertThat(device).hasToString("cuda:0 Fake GPU 0");
    assertThat(Device.driverVersion()).isEqualTo(13000);
  }

  @Test
  void closingWithOpenChildrenListsThem() {
    Context context = Context.open(Device.of(0));
    DeviceBuffer weights = context.allocate("weights", 4096);
    Stream compute = context.stream("compute");
    assertThatThrownBy(context::close)
        .isInstanceOf(IllegalStateException.class)
        .hasMessage(
            "cuda:0 Fake GPU 0 is closed while these are open: device buffer weights (4096 bytes), stream compute");
    weights.close();
    weights.close();
    compute.close();
    context.close();
    context.close();
    assertThat(Fake.get(Fake.State.BUFFERS)).isZero();
    assertThat(Fake.calls()).containsOnlyOnce("cuMemFree_v2", "cuDevicePrimaryCtxRelease_v2");
    assertThatThrownBy(() -> context.allocate("late", 1)).hasMessageContaining("is closed");
  }

  @Test
  void foreignMemoryIsCheckedButNeverFreed() {
    try (Context context = Context.open(Device.of(0))) {
      DevicePtr start = new DevicePtr(0x7000_0000L);
      DeviceBuffer foreign = context.foreignBuffer("theirs", start, 64);
      assertThat(foreign.pointer(16, 48)).isEqualTo(start.plus(16));
      assertThatThrownBy(() -> foreign.pointer(32, 33))
          .isInstanceOf(IndexOutOfBoundsException.class)
          .hasMessageContaining("foreign buffer theirs (64 bytes)");
      assertThat(context.openChildren()).containsExactly("foreign buffer theirs (64 bytes)");
      foreign.close();
      assertThatThrownBy(foreign::pointer).isInstanceOf(IllegalStateException.class);
      assertThat(Fake.calls()).doesNotContain("cuMemFree_v2");
      assertThatThrownBy(() -> context.foreignBuffer("none", DevicePtr.NULL, 64))
          .isInstanceOf(IllegalArgumentException.class);
    }
  }

  @Test
  void useAfterCloseNeverReachesTheDriver() {
    try (Context context = Context.open(Device.of(0));
        DeviceBuffer other = context.allocate("other", 16);
        PinnedBuffer host = context.allocatePinned("host", 16);
        Stream live = context.stream("live");
        Event tick = context.event()) {
      DeviceBuffer buffer = context.allocate("buffer", 16);
      PinnedBuffer pinned = context.allocatePinned("pinned", 16);
      MemorySegment view = pinned.segment();
      Stream stream = context.stream("stream");
      Event event = context.event();
      List.of(buffer, pinned, stream, event).forEach(ContextTest::close);
      int before = Fake.calls().size();
      List<ThrowingCallable> uses =
          List.of(
              buffer::pointer,
              () -> buffer.upload(0, MemorySegment.ofArray(new byte[4])),
              () -> live.copy(other, 0, buffer, 0, 4),
              () -> live.fill(buffer, 0, 4, (byte) 0),
              () -> live.upload(other, 0, pinned, 0, 4),
              () -> view.get(JAVA_BYTE, 0),
              pinned::segment,
              stream::synchronize,
              () -> stream.upload(other, 0, host, 0, 4),
              () -> stream.waitFor(tick),
              () -> live.record(event),
              () -> live.waitFor(event),
              event::isDone);
      for (ThrowingCallable use : uses) {
        assertThatThrownBy(use).isInstanceOf(IllegalStateException.class);
      }
      assertThat(Fake.calls()).hasSize(before);
    }
  }

  @Test
  void rangesAndForeignBuffersAreRefusedBeforeTheDriver() {
    Fake.set(Fake.State.DEVICES, 2);
    try (Context context = Context.open(Device.of(0));
        Context second = Context.open(Device.of(1));
        Stream stream = context.stream("compute");
        DeviceBuffer buffer = context.allocate("a", 16);
        DeviceBuffer foreign = second.allocate("b", 16)) {
      int before = Fake.calls().size();
      assertThatThrownBy(() -> buffer.pointer(8, 9))
          .isInstanceOf(IndexOutOfBoundsException.class)
          .hasMessage("9 bytes at offset 8 are outside device buffer a (16 bytes)");
      assertThatThrownBy(() -> buffer.pointer(Long.MAX_VALUE, 1))
          .isInstanceOf(IndexOutOfBoundsException.class);
      assertThatThrownBy(() -> buffer.pointer(-1, 1)).isInstanceOf(IndexOutOfBoundsException.class);
      assertThatThrownBy(() -> stream.copy(buffer, 0, foreign, 0, 16))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage(
              "device buffer b (16 bytes) belongs to cuda:1 Fake GPU 1, not to cuda:0 Fake GPU 0");
      assertThatThrownBy(() -> stream.fill(buffer, 2, 4, 1)).hasMessageContaining("32-bit words");
      assertThat(Fake.calls()).hasSize(before);
    }
  }

  @Test
  void copiesRoundTrip() {
    byte[] data = new byte[3 << 20];
    for (int i = 0; i < data.length; i++) {
      data[i] = (byte) ((i * 31) >> 3);
    }
    try (Context context = Context.open(Device.of(0));
        Stream stream = context.urgentStream("copy");
        DeviceBuffer a = context.allocate("a", data.length);
        DeviceBuffer b = context.allocate("b", data.length + 16);
        PinnedBuffer host = context.allocatePinned("host", data.length);
        Arena arena = Arena.ofConfined()) {
      a.upload(0, MemorySegment.ofArray(data));
      stream.copy(b, 16, a, 0, data.length);
      stream.download(host, 0, b, 16, data.length);
      stream.synchronize();
      assertThat(host.segment().toArray(JAVA_BYTE)).isEqualTo(data);
      byte[] back = new byte[data.length];
      b.download(MemorySegment.ofArray(back), 16);
      assertThat(back).isEqualTo(data);
      stream.fill(a, 4, 8, 0x01020304);
      stream.upload(a, 12, host, 100, 4);
      MemorySegment head = arena.allocate(16);
      a.download(head, 0);
      assertThat(head.toArray(JAVA_BYTE))
          .containsExactly(
              data[0], data[1], data[2], data[3], 4, 3, 2, 1, 4, 3, 2, 1, data[100], data[101],
              data[102], data[103]);
    }
    assertThat(Fake.get(Fake.State.PINNED)).isZero();
  }

  @Test
  void errorsNameCallArgumentsAndRemedy() {
    try (Context context = Context.open(Device.of(0))) {
      Fake.fail("cuMemAlloc_v2", 2);
      assertThatThrownBy(() -> context.allocate("weights", 3 << 19))
          .isInstanceOf(CudaException.class)
          .hasMessage(
              "no device memory for 'weights': it takes 1.5 MiB (1572864 bytes) and cuda:0 Fake GPU 0 has 80,896.0 MiB"
                  + " free of 81,920.0 MiB; free memory on the GPU (nvidia-smi lists who holds it) or lower the"
                  + " batch size or the sequence length");
      assertThat(context.openChildren()).isEmpty();
      Fake.fail("cuCtxSynchronize", 700);
      assertThatThrownBy(context::synchronize)
          .hasMessageContaining("CUDA_ERROR_ILLEGAL_ADDRESS (700)")
          .hasMessageContaining("-Dgatun.cuda.blocking=true");
      Fake.fail("cuCtxSynchronize", 12345);
      assertThatThrownBy(context::synchronize)
          .hasMessage(
              "cuCtxSynchronize() failed: CUDA_ERROR (12345): an error that this driver does not describe");
    }
  }

  @Test
  void saysWhatIsWrongWithTheMachine() {
    Fake.set(Fake.State.VERSION, 12040);
    assertThatThrownBy(() -> Device.of(0))
        .isInstanceOf(FailureException.class)
        .hasMessage(
            "the NVIDIA driver supports CUDA 12.4 and Gatun needs 12.8: install a driver of the R570 series or newer");
    Fake.set(Fake.State.VERSION, 13000);
    Fake.set(Fake.State.DEVICES, 0);
    assertThatThrownBy(() -> Device.of(0))
        .isInstanceOf(FailureException.class)
        .hasMessageContaining("finds no GPU");
    Fake.set(Fake.State.DEVICES, 1);
    assertThatThrownBy(() -> Device.of(1))
        .isInstanceOf(FailureException.class)
        .hasMessageContaining("no device cuda:1");
    Fake.set(Fake.State.CAPABILITY, 75);
    assertThatThrownBy(() -> Context.open(Device.of(0)))
        .isInstanceOf(FailureException.class)
        .hasMessageContaining("compute capability 7.5 and the kernels need 8.0");
  }

  @Test
  void aMissingDriverIsOneSentence() {
    System.setProperty(FakeDriver.CUDA, "/nonexistent/libcuda.so.1");
    for (int attempt = 0; attempt < 2; attempt++) {
      assertThatThrownBy(Device::list)
          .isInstanceOf(FailureException.class)
          .hasMessage(
              "no NVIDIA driver: -Dgatun.lib.cuda=/nonexistent/libcuda.so.1 is not a library that loads: install an"
                  + " NVIDIA driver of the 580 series or newer, or point -Dgatun.lib.cuda at the file");
    }
  }

  @Test
  void adoptsAnotherLibrarysContextAndStream() {
    try (Context own = Context.open(Device.of(0))) {
      own.makeCurrent();
      try (Context adopted = Context.adopt();
          Stream stream = adopted.foreignStream("theirs", 0x1234);
          DeviceBuffer buffer = own.allocate("ours", 16)) {
        assertThat(adopted.handle()).isEqualTo(own.handle());
        assertThat(stream.address()).isEqualTo(0x1234);
        stream.fill(buffer, 0, 16, (byte) 1);
      }
      assertThat(Fake.calls()).doesNotContain("cuStreamDestroy_v2", "cuDevicePrimaryCtxRelease_v2");
    }
  }

  @Test
  void eventsOrderAndTime() {
    try (Context context = Context.open(Device.of(0));
        Stream stream = context.stream("compute");
        Event start = context.timingEvent();
        Event end = context.timingEvent();
        Event plain = context.event()) {
      stream.record(start);
      stream.record(end);
      stream.waitFor(plain);
      end.synchronize();
      assertThat(end.isDone()).isFalse();
      assertThat(end.millisecondsSince(start)).isEqualTo(1.5f);
      assertThatThrownBy(() -> end.millisecondsSince(plain))
          .isInstanceOf(IllegalArgumentException.class);
    }
  }

  private static void close(AutoCloseable resource) {
    try {
      resource.close();
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }
}
