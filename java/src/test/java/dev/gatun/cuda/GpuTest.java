package dev.gatun.cuda;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.FailureException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.opentest4j.TestAbortedException;

/// The runtime layer on a real device.
@Tag("gpu")
class GpuTest {
  /// `out[i] = i * factor` for `i < n`.
  private static final String PTX =
      """
      .version 7.0
      .target sm_80
      .address_size 64
      .visible .entry multiples(.param .u64 out, .param .u32 n, .param .u32 factor)
      {
        .reg .pred %p; .reg .b32 %r<6>; .reg .b64 %d<4>;
        ld.param.u64 %d1, [out];
        ld.param.u32 %r1, [n];
        ld.param.u32 %r2, [factor];
        mov.u32 %r3, %ctaid.x;
        mov.u32 %r4, %ntid.x;
        mov.u32 %r5, %tid.x;
        mad.lo.u32 %r3, %r3, %r4, %r5;
        setp.ge.u32 %p, %r3, %r1;
        @%p bra DONE;
        mul.lo.u32 %r4, %r3, %r2;
        mul.wide.u32 %d2, %r3, 4;
        add.u64 %d3, %d1, %d2;
        st.global.u32 [%d3], %r4;
      DONE:
        ret;
      }
      """;

  private record Multiples(DevicePtr out, int n, int factor) {}

  private Context context;

  @BeforeEach
  void open() {
    try {
      context = Context.open(Device.of(0));
    } catch (FailureException e) {
      throw new TestAbortedException(e.getMessage());
    }
  }

  @AfterEach
  void close() {
    if (context != null) {
      context.close();
    }
  }

  @Test
  void deviceIsPlausible() {
    Device device = context.device();
    assertThat(device.capability()).isBetween(80, 130);
    assertThat(device.memoryBytes()).isGreaterThan(1L << 30);
    assertThat(device.multiprocessors()).isPositive();
    assertThat(device.limits().sharedPerBlock()).isGreaterThan(48 << 10);
    assertThat(context.freeMemoryBytes()).isBetween(1L, device.memoryBytes());
    assertThat(LibraryReport.all().getFirst().problem()).isEmpty();
    assertThat(LibraryReport.all().getFirst().path()).isPresent();
  }

  @Test
  void copiesRoundTrip() {
    byte[] data = new byte[5_000_001];
    new Random(7).nextBytes(data);
    try (Stream compute = context.stream("compute");
        Stream copy = context.urgentStream("copy");
        Event uploaded = context.event();
        DeviceBuffer a = context.allocate("a", data.length);
        DeviceBuffer b = context.allocate("b", data.length + 3);
        PinnedBuffer host = context.allocatePinned("host", data.length)) {
      host.segment().copyFrom(MemorySegment.ofArray(data));
      copy.upload(a, 0, host, 0, data.length);
      copy.record(uploaded);
      compute.waitFor(uploaded);
      compute.copy(b, 3, a, 0, data.length);
      compute.synchronize();
      host.segment().fill((byte) 0);
      compute.download(host, 0, b, 3, data.length);
      compute.synchronize();
      assertThat(host.segment().toArray(JAVA_BYTE)).isEqualTo(data);
    }
  }

  @Test
  void launchesAndTakesTime() {
    int n = 1_000_003;
    try (Stream stream = context.stream("compute");
        Event start = context.timingEvent();
        Event end = context.timingEvent();
        Module module = Module.ofPtx(context, "test", PTX);
        DeviceBuffer out = context.allocate("out", 4L * n)) {
      Kernel<Multiples> kernel = module.kernel("multiples", Multiples.class);
      stream.record(start);
      kernel.launch(LaunchConfig.cover(n, 256, 256), stream, new Multiples(out.pointer(), n, 3));
      stream.record(end);
      end.synchronize();
      assertThat(end.millisecondsSince(start)).isBetween(1e-4f, 1000f);
      int[] result = new int[n];
      out.download(MemorySegment.ofArray(result), 0);
      for (int i = 0; i < n; i++) {
        assertThat(result[i]).isEqualTo(3 * i);
      }
      assertThat(kernel.registers()).isPositive();
      assertThat(kernel.blocksPerMultiprocessor(256, 0)).isPositive();
    }
  }

  @Test
  void graphsReplayAndUpdate() {
    int n = 1000;
    try (Stream stream = context.stream("compute");
        Module module = Module.ofPtx(context, "test", PTX);
        DeviceBuffer out = context.allocate("out", 4L * n)) {
      Kernel<Multiples> kernel = module.kernel("multiples", Multiples.class);
      LaunchConfig config = LaunchConfig.cover(n, 128, 128);
      try (Graph graph =
          Graph.capture(
              "multiples",
              stream,
              () -> {
                stream.fill(out, 0, 4L * n, 0);
                kernel.launch(config, stream, new Multiples(out.pointer(), n - 1, 5));
              })) {
        assertThat(graph.nodeCount()).isEqualTo(2);
        graph.launch(stream);
        stream.synchronize();
        assertThat(last(out, n)).containsExactly(5 * (n - 2), 0);
        boolean fitted =
            graph.update(
                stream,
                () -> {
                  stream.fill(out, 0, 4L * n, 1);
                  kernel.launch(config, stream, new Multiples(out.pointer(), n - 1, 7));
                });
        assertThat(fitted).isTrue();
        graph.launch(stream);
        stream.synchronize();
        assertThat(last(out, n)).containsExactly(7 * (n - 2), 1);
      }
    }
  }

  @Test
  void closingReturnsAllMemory() {
    try (Stream stream = context.stream("compute")) {
      cycle(stream); // whatever the driver keeps for itself is taken by now
      long before = context.freeMemoryBytes();
      for (int i = 0; i < 20; i++) {
        cycle(stream);
      }
      assertThat(context.freeMemoryBytes()).isEqualTo(before);
    }
    assertThat(context.openChildren()).isEmpty();
  }

  @Test
  void brokenPtxShowsTheCompilersLog() {
    assertThatThrownBy(() -> Module.ofPtx(context, "broken", PTX.replace("mul.lo.u32", "mul.x")))
        .isInstanceOf(CudaException.class)
        .hasMessageContaining("CUDA_ERROR_INVALID_PTX")
        .hasMessageContaining("log: ")
        .hasMessageContaining("line");
    assertThatThrownBy(() -> Module.ofPtx(context, "newer", PTX.replace("7.0", "99.0")))
        .isInstanceOf(FailureException.class)
        .hasMessageContaining("install a driver of the R");
  }

  /// A fault ruins the process's context, so it happens in a process of its own.
  @Test
  void blockingModeNamesAFaultingLaunch() throws IOException, InterruptedException {
    Process child =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-Dgatun.cuda.blocking=true",
                "-cp",
                System.getProperty("java.class.path"),
                FaultingLaunch.class.getName())
            .redirectErrorStream(true)
            .start();
    String output = new String(child.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(child.waitFor()).isEqualTo(1);
    assertThat(output)
        .contains("kernel multiples(Multiples[out=0x10, n=256, factor=1]) of module faulty")
        .contains("CUDA_ERROR_ILLEGAL_ADDRESS");
  }

  /// What the test above runs.
  static final class FaultingLaunch {
    private FaultingLaunch() {}

    public static void main(String[] arguments) {
      Context context = Context.open(Device.of(0));
      Kernel<Multiples> kernel =
          Module.ofPtx(context, "faulty", PTX).kernel("multiples", Multiples.class);
      kernel.launch(
          LaunchConfig.of(1, 256),
          context.stream("compute"),
          new Multiples(new DevicePtr(0x10), 256, 1));
    }
  }

  @Test
  void aRefusedLaunchLeavesTheContextUsable() {
    try (Stream stream = context.stream("compute");
        Module module =
            Module.ofPtx(context, "limited", PTX.replace("factor)", "factor) .maxntid 64, 1, 1"));
        DeviceBuffer out = context.allocate("out", 4096)) {
      Kernel<Multiples> kernel = module.kernel("multiples", Multiples.class);
      Multiples parameters = new Multiples(out.pointer(), 1024, 1);
      assertThatThrownBy(() -> kernel.launch(LaunchConfig.of(8, 128), stream, parameters))
          .isInstanceOf(CudaException.class)
          .hasMessageStartingWith("launch of multiples(");
      kernel.launch(LaunchConfig.of(16, 64), stream, parameters);
      stream.synchronize();
    }
  }

  @Test
  void productsMatchSmallIntegers() {
    CublasLt blas;
    try {
      blas = CublasLt.create(context);
    } catch (FailureException e) {
      throw new TestAbortedException(e.getMessage());
    }
    int n = 64;
    try (blas;
        Stream stream = context.stream("compute");
        DeviceBuffer a = context.allocate("a", 2L * n * n);
        DeviceBuffer d = context.allocate("d", 4L * n * n)) {
      short[] bits = new short[n * n];
      for (int i = 0; i < bits.length; i++) {
        bits[i] = (short) (Float.floatToRawIntBits(i % 7 - 3) >>> 16);
      }
      a.upload(0, MemorySegment.ofArray(bits));
      blas.multiply(
          stream,
          Gemm.linear(n, n, n, Gemm.Output.F32),
          new CublasLt.Matrices(a.pointer(), a.pointer(), d.pointer()),
          1f,
          0f,
          CublasLt.Workspace.NONE);
      stream.synchronize();
      float[] result = new float[n * n];
      d.download(MemorySegment.ofArray(result), 0);
      for (int i = 0; i < n * n; i++) {
        int sum = 0;
        for (int p = 0; p < n; p++) {
          sum += ((i / n * n + p) % 7 - 3) * ((i % n * n + p) % 7 - 3);
        }
        assertThat(result[i]).as("element %d", i).isEqualTo(sum);
      }
    }
  }

  private void cycle(Stream stream) {
    try (Module module = Module.ofPtx(context, "test", PTX);
        DeviceBuffer buffer = context.allocate("buffer", 64 << 20);
        PinnedBuffer pinned = context.allocatePinned("pinned", 1 << 20);
        Event event = context.event()) {
      module
          .kernel("multiples", Multiples.class)
          .launch(LaunchConfig.of(4, 256), stream, new Multiples(buffer.pointer(), 1024, 1));
      stream.download(pinned, 0, buffer, 0, 1 << 20);
      stream.record(event);
      stream.synchronize();
    }
  }

  private static int[] last(DeviceBuffer out, int n) {
    int[] values = new int[2];
    out.download(MemorySegment.ofArray(values), 4L * (n - 2));
    return MemorySegment.ofArray(values).toArray(JAVA_INT);
  }
}
