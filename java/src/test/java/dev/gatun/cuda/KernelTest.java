package dev.gatun.cuda;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.FailureException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

@ExtendWith(FakeDriver.class)
class KernelTest {
  private static final String PTX = ".version 8.0\n.target sm_80\n.address_size 64\n";

  private record Everything(
      int count,
      DevicePtr out,
      float scale,
      short flag,
      TensorMap map,
      double eps,
      long stride,
      short last) {}

  private record One(int value) {}

  private record Nothing() {}

  private record Wrong(String text) {}

  @Test
  void packsTheRecordInOrder() {
    try (Context context = Context.open(Device.of(0));
        Stream stream = context.stream("compute");
        Module module = Module.ofPtx(context, "m", PTX)) {
      Kernel<Everything> kernel = module.kernel("everything", Everything.class);
      Fake.parameters(4, 8, 4, 2, 128, 8, 8, 2);
      TensorMap map =
          TensorMap.encode(
              new DevicePtr(0x1000),
              TensorTile.matrix(
                  TensorTile.ElementType.BF16,
                  new TensorTile.Matrix(300, 200, 256),
                  128,
                  64,
                  TensorTile.Swizzle.B128));
      kernel.launch(
          LaunchConfig.cover(1000, 128, 256).withShared(1024),
          stream,
          new Everything(
              7, new DevicePtr(0xABCDEF0123L), 1.5f, (short) -2, map, 1e-300, -3L, (short) 9));
      Fake.Launch launch = Fake.launch();
      assertThat(launch.grid()).containsExactly(8, 1, 1);
      assertThat(launch.block()).containsExactly(256, 1, 1);
      assertThat(launch.shared()).isEqualTo(1024);
      MemorySegment bytes = launch.bytes();
      assertThat(bytes.get(JAVA_INT_UNALIGNED, 0)).isEqualTo(7);
      assertThat(bytes.get(JAVA_LONG_UNALIGNED, 4)).isEqualTo(0xABCDEF0123L);
      assertThat(bytes.get(JAVA_FLOAT_UNALIGNED, 12)).isEqualTo(1.5f);
      assertThat(bytes.get(JAVA_SHORT_UNALIGNED, 16)).isEqualTo((short) -2);
      long[] expected = new long[16];
      expected[0] = 0x1000;
      expected[1] = 9; // bf16
      expected[2] = 2;
      expected[3] = 3; // 128-byte swizzle
      expected[4] = 200;
      expected[5] = 300;
      expected[8] = 64;
      expected[9] = 128;
      expected[12] = 512;
      assertThat(bytes.asSlice(18, 128).toArray(JAVA_LONG_UNALIGNED)).isEqualTo(expected);
      assertThat(bytes.get(JAVA_DOUBLE_UNALIGNED, 146)).isEqualTo(1e-300);
      assertThat(bytes.get(JAVA_LONG_UNALIGNED, 154)).isEqualTo(-3L);
      assertThat(bytes.get(JAVA_SHORT_UNALIGNED, 162)).isEqualTo((short) 9);
      long base = launch.pointers()[0];
      assertThat(base % 128).isZero();
      assertThat(Arrays.stream(launch.pointers()).limit(8).map(p -> p - base))
          .containsExactly(0L, 8L, 16L, 20L, 128L, 256L, 264L, 272L);
    }
  }

  @Test
  void launchesAreRecordedOnlyIfAskedFor() throws IOException {
    try (Context context = Context.open(Device.of(0));
        Stream stream = context.stream("compute");
        Module module = Module.ofPtx(context, "m", PTX)) {
      Kernel<One> kernel = module.kernel("one", One.class);
      Fake.parameters(4);
      LaunchConfig config = LaunchConfig.of(6, 32).withGrid(6, 2, 1);
      for (boolean wanted : new boolean[] {false, true}) {
        Path file = Files.createTempFile("launches", ".jfr");
        try (Recording recording = new Recording()) {
          if (wanted) {
            recording.enable("dev.gatun.KernelLaunch");
          }
          recording.start();
          kernel.launch(config, stream, new One(1));
          recording.stop();
          recording.dump(file);
        }
        List<RecordedEvent> launches =
            RecordingFile.readAllEvents(file).stream()
                .filter(event -> event.getEventType().getName().equals("dev.gatun.KernelLaunch"))
                .toList();
        Files.delete(file);
        assertThat(launches).hasSize(wanted ? 1 : 0);
        for (RecordedEvent launch : launches) {
          assertThat(launch.getString("kernel")).isEqualTo("one");
          assertThat(launch.getLong("blocks")).isEqualTo(12);
          assertThat(launch.getInt("threads")).isEqualTo(32);
        }
      }
    }
  }

  @Test
  void launchesClustersThroughTheExtendedCall() {
    try (Context context = Context.open(Device.of(0));
        Stream stream = context.stream("compute");
        Module module = Module.ofPtx(context, "m", PTX)) {
      Fake.parameters(4);
      module
          .kernel("one", One.class)
          .launch(
              LaunchConfig.of(8, 128).withGrid(8, 3, 2).withShared(40000).withCluster(4),
              stream,
              new One(42));
      Fake.Launch launch = Fake.launch();
      assertThat(launch.cluster()).isEqualTo(4);
      assertThat(launch.grid()).containsExactly(8, 3, 2);
      assertThat(launch.block()).containsExactly(128, 1, 1);
      assertThat(launch.shared()).isEqualTo(40000);
      assertThat(launch.bytes().get(JAVA_INT_UNALIGNED, 0)).isEqualTo(42);
      assertThat(Fake.calls()).contains("cuLaunchKernelEx").doesNotContain("cuLaunchKernel");
    }
  }

  @Test
  void optsInToLargeSharedMemoryOnce() {
    try (Context context = Context.open(Device.of(0));
        Stream stream = context.stream("compute");
        Module module = Module.ofPtx(context, "m", PTX)) {
      Kernel<Nothing> kernel = module.kernel("nothing", Nothing.class);
      LaunchConfig config = LaunchConfig.of(1, 32);
      kernel.launch(config.withShared(48 << 10), stream, new Nothing());
      assertThat(Fake.calls()).doesNotContain("cuFuncSetAttribute");
      kernel.launch(config.withShared(100_000), stream, new Nothing());
      kernel.launch(config.withShared(90_000), stream, new Nothing());
      assertThat(Fake.calls()).containsOnlyOnce("cuFuncSetAttribute");
      assertThatThrownBy(() -> kernel.launch(config.withShared(300_000), stream, new Nothing()))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage(
              "kernel nothing asks for 300000 bytes of shared memory a block and cuda:0 Fake GPU 0 has 232448");
      assertThat(kernel.blocksPerMultiprocessor(256, 0)).isEqualTo(8);
    }
  }

  @Test
  void blockingModeNamesTheFaultingLaunch() {
    try (Context context = Context.open(Device.of(0), true);
        Stream stream = context.stream("compute");
        Module module = Module.ofPtx(context, "norm", PTX)) {
      Kernel<One> kernel = module.kernel("norm_forward", One.class);
      Fake.parameters(4);
      kernel.launch(LaunchConfig.of(1, 32), stream, new One(1));
      Fake.fail("cuStreamSynchronize", 700);
      assertThatThrownBy(() -> kernel.launch(LaunchConfig.of(2, 64), stream, new One(5)))
          .isInstanceOf(CudaException.class)
          .hasMessageStartingWith(
              "kernel norm_forward(One[value=5]) of module norm with grid 2x1x1, block 64x1x1, 0 B dynamic shared,"
                  + " cluster 1 on stream compute failed: CUDA_ERROR_ILLEGAL_ADDRESS (700)");
    }
  }

  @Test
  void aRefusedLaunchNamesTheKernelInAnyMode() {
    try (Context context = Context.open(Device.of(0), false);
        Stream stream = context.stream("compute");
        Module module = Module.ofPtx(context, "m", PTX)) {
      Kernel<One> kernel = module.kernel("one", One.class);
      Fake.fail("cuLaunchKernel", 701);
      assertThatThrownBy(() -> kernel.launch(LaunchConfig.of(1, 32), stream, new One(3)))
          .hasMessageStartingWith("launch of one(One[value=3]) of module m with grid 1x1x1");
      assertThat(Fake.calls()).doesNotContain("cuStreamSynchronize");
    }
  }

  @Test
  void everyThreadPacksIntoItsOwnMemory() {
    try (Context context = Context.open(Device.of(0));
        Stream stream = context.stream("compute");
        Module module = Module.ofPtx(context, "m", PTX)) {
      Kernel<One> kernel = module.kernel("one", One.class);
      Fake.parameters(4);
      kernel.launch(LaunchConfig.of(1, 1), stream, new One(1));
      long mine = Fake.launch().pointers()[0];
      CompletableFuture.runAsync(() -> kernel.launch(LaunchConfig.of(1, 1), stream, new One(2)))
          .join();
      assertThat(Fake.launch().pointers()[0]).isNotEqualTo(mine);
      kernel.launch(LaunchConfig.of(1, 1), stream, new One(3));
      assertThat(Fake.launch().pointers()[0]).isEqualTo(mine);
    }
  }

  @Test
  void refusesOtherParameterTypesAndClosedModules() {
    try (Context context = Context.open(Device.of(0));
        Stream stream = context.stream("compute")) {
      Module module = Module.ofPtx(context, "m", PTX);
      assertThatThrownBy(() -> module.kernel("wrong", Wrong.class))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("component text of")
          .hasMessageContaining("is a String");
      Kernel<Nothing> kernel = module.kernel("nothing", Nothing.class);
      module.close();
      assertThatThrownBy(() -> kernel.launch(LaunchConfig.of(1, 1), stream, new Nothing()))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage("module m is closed");
      assertThat(Fake.calls()).doesNotContain("cuLaunchKernel");
    }
  }

  @Test
  void refusesImpossibleGeometry() {
    assertThatThrownBy(() -> LaunchConfig.of(0, 32)).hasMessageContaining("grid 0");
    assertThatThrownBy(() -> LaunchConfig.of(1, 1025)).hasMessageContaining("block 1025");
    assertThatThrownBy(() -> LaunchConfig.of(1, 1).withGrid(1, 65536, 1))
        .hasMessageContaining("65536");
    assertThatThrownBy(() -> LaunchConfig.of(3, 1).withCluster(2)).hasMessageContaining("cluster");
    assertThat(LaunchConfig.cover(1, 128, 128).gridX()).isEqualTo(1);
    assertThat(LaunchConfig.cover(129, 128, 128).gridX()).isEqualTo(2);
  }

  @Test
  void aFailedCompilationShowsItsLog() {
    try (Context context = Context.open(Device.of(0))) {
      Fake.fail("cuModuleLoadDataEx", 218);
      Fake.errorLog(
          "ptxas application ptx input, line 9; error: Unknown symbol 'x'\n  ptxas fatal\n");
      assertThatThrownBy(() -> Module.ofPtx(context, "broken", PTX))
          .isInstanceOf(CudaException.class)
          .hasMessage(
              "cuModuleLoadDataEx(broken) failed: CUDA_ERROR_INVALID_PTX (218): a PTX JIT compilation failed; log:"
                  + " ptxas application ptx input, line 9; error: Unknown symbol 'x' | ptxas fatal");
    }
  }

  @Test
  void ptxThatIsTooNewNamesTheDriver() {
    Fake.set(Fake.State.VERSION, 12080);
    try (Context context = Context.open(Device.of(0))) {
      assertThatThrownBy(() -> Module.ofPtx(context, "m", PTX.replace("8.0", "9.0")))
          .isInstanceOf(FailureException.class)
          .hasMessage(
              "the NVIDIA driver supports CUDA 12.8 and module m (PTX 9.0) needs 13.0: install a driver of the R580"
                  + " series or newer");
      assertThatThrownBy(() -> Module.load(context, "no-such-module"))
          .isInstanceOf(FailureException.class)
          .hasMessageContaining("no-such-module.ptx is missing");
    }
  }
}
