package dev.gatun.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.cuda.Fake;
import dev.gatun.cuda.FakeDriver;
import dev.gatun.rules.Repository;
import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/// Whatever is wrong with a GPU is one sentence on standard error and exit code 1, and what was
/// opened before is closed.
@ExtendWith(FakeDriver.class)
class GpuFaultsTest {
  GpuFaultsTest() {
    System.setProperty(FakeDriver.KERNELS, "stub");
  }

  @Test
  void noDriver() {
    System.setProperty("gatun.lib.cuda", "/nonexistent/libcuda.so.1");
    assertThat(fails()).contains("no NVIDIA driver").contains("install an NVIDIA driver");
  }

  @Test
  void noDevice() {
    Fake.set(Fake.State.DEVICES, 0);
    assertThat(fails()).contains("finds no GPU: check nvidia-smi");
  }

  @Test
  void aDriverThatIsTooOld() {
    Fake.set(Fake.State.VERSION, 12040);
    assertThat(fails()).contains("supports CUDA 12.4").contains("install a driver of the R");
  }

  @Test
  void aDriverThatIsTooOldForTheKernels() {
    Fake.set(Fake.State.VERSION, 12080);
    assertThat(fails()).contains("needs 13.0: install a driver of the R580 series or newer");
    assertNothingIsLeft();
  }

  @Test
  void aGpuThatIsTooOld() {
    Fake.set(Fake.State.CAPABILITY, 75);
    assertThat(fails()).contains("has compute capability 7.5 and the kernels need 8.0");
  }

  @Test
  void aGpuThatAnotherProcessHolds() {
    Fake.fail("cuDevicePrimaryCtxRetain", 46);
    assertThat(fails()).contains("another process holds the GPU exclusively");
  }

  @Test
  void noDeviceMemory() {
    Fake.fail("cuMemAlloc_v2", 2);
    assertThat(fails())
        .contains("no device memory for '")
        .contains("has 80,896.0 MiB free of 81,920.0 MiB")
        .contains("lower the batch size or the sequence length");
    assertNothingIsLeft();
  }

  @Test
  void noPinnedMemory() {
    Fake.fail("cuMemHostAlloc", 2);
    assertThat(fails())
        .contains("no page-locked host memory for 'compute staging 0', which takes 8.0 MiB");
    assertNothingIsLeft();
  }

  @Test
  void aKernelFault() {
    Fake.fail("cuStreamSynchronize", 700);
    assertThat(fails())
        .contains("CUDA_ERROR_ILLEGAL_ADDRESS (700)")
        .contains("run again with -Dgatun.cuda.blocking=true, which names it");
  }

  @Test
  void aKernelThatDoesNotCompile() {
    Fake.fail("cuModuleLoadDataEx", 218);
    Fake.errorLog("ptxas fatal : line 9\n ptxas: giving up");
    assertThat(fails())
        .contains("CUDA_ERROR_INVALID_PTX (218)")
        .contains("log: ptxas fatal : line 9 | ptxas: giving up");
    assertNothingIsLeft();
  }

  @Test
  void aDriverWithoutItsCompiler() {
    Fake.fail("cuModuleLoadDataEx", 221);
    assertThat(fails()).contains("libnvidia-ptxjitcompiler.so.1, a part of the NVIDIA driver");
    assertNothingIsLeft();
  }

  @Test
  void aLibraryOfTheWrongVersion() {
    Fake.cublas("fake_version", 110501);
    assertThat(fails()).contains("is version 11.5.1, which is not supported: install cuBLAS");
    assertNothingIsLeft();
  }

  @Test
  void aBuildWithoutKernels() {
    System.setProperty(FakeDriver.KERNELS, "none");
    assertThat(fails()).contains("this build has no GPU kernels").contains("CUDA Toolkit 13");
    assertNothingIsLeft();
  }

  private static void assertNothingIsLeft() {
    assertThat(Fake.get(Fake.State.BUFFERS)).isZero();
    assertThat(Fake.get(Fake.State.PINNED)).isZero();
    assertThat(Fake.calls())
        .filteredOn(call -> call.equals("cuStreamCreateWithPriority"))
        .hasSameSizeAs(
            Fake.calls().stream().filter(call -> call.equals("cuStreamDestroy_v2")).toList());
    assertThat(Fake.calls()).contains("cuDevicePrimaryCtxRelease_v2");
  }

  /// Runs a command on the GPU and returns the one line that it leaves on standard error.
  private static String fails() {
    StringWriter err = new StringWriter();
    int code =
        new Gatun()
            .execute(
                new PrintWriter(new StringWriter()),
                new PrintWriter(err),
                "conformance",
                Repository.root().resolve("java/src/test/resources/conformance").toString(),
                "--device",
                "cuda:0");
    assertThat(code).as(err.toString()).isEqualTo(1);
    assertThat(err.toString().lines()).hasSize(1);
    return err.toString();
  }
}
