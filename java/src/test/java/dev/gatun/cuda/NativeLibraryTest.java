package dev.gatun.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.bindings.NativeLibrary;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

@ExtendWith(FakeDriver.class)
class NativeLibraryTest {
  @Test
  void findsASonameInAGivenFolderAndReportsItsPath() throws IOException {
    Path folder = Files.createTempDirectory("gatun-lib");
    Path link = folder.resolve("libcuda.so.1");
    Path target = Path.of(System.getProperty(FakeDriver.CUDA));
    Files.createSymbolicLink(link, target);
    System.clearProperty(FakeDriver.CUDA);
    System.setProperty("gatun.lib.path", "/nonexistent:" + folder);
    try {
      assertThat(NativeLibrary.CUDA.isAvailable()).isTrue();
      assertThat(NativeLibrary.CUDA.failure()).isNull();
      assertThat(NativeLibrary.CUDA.path()).contains(target.toRealPath());
      LibraryReport report = LibraryReport.of(NativeLibrary.CUDA);
      assertThat(report.version()).contains("13.0");
      assertThat(report.problem()).isEmpty();
      Installation installation = Installation.probe();
      assertThat(installation.driver()).isEqualTo(report);
      assertThat(installation.gpus()).extracting(Device::name).containsExactly("Fake GPU 0");
    } finally {
      System.clearProperty("gatun.lib.path");
      Files.delete(link);
      Files.delete(folder);
    }
  }

  @Test
  void aFoundFileThatCannotBeUsedIsNamed() throws IOException {
    Path folder = Files.createTempDirectory("gatun-lib");
    Path file = folder.resolve("libnccl.so.2");
    Files.copy(Path.of(System.getProperty(FakeDriver.CUDA)), file);
    System.setProperty("gatun.lib.path", folder.toString());
    try {
      Assumptions.assumeFalse(NativeLibrary.NCCL.isAvailable(), "this machine has NCCL");
      assertThat(NativeLibrary.NCCL.failure())
          .isEqualTo(
              "libnccl.so.2 was found but cannot be used: %s (has no ncclGetVersion): install NCCL 2 (apt libnccl2, pip"
                      .formatted(file)
                  + " nvidia-nccl-cu13, conda nccl), or point -Dgatun.lib.nccl at the file");
    } finally {
      System.clearProperty("gatun.lib.path");
      Files.delete(file);
      Files.delete(folder);
    }
  }

  @Test
  void aMissingLibraryIsAValueNotACrash() {
    System.setProperty("gatun.lib.cudnn", "/nonexistent/libcudnn.so.9");
    try {
      assertThat(NativeLibrary.CUDNN.path()).isEmpty();
      assertThat(LibraryReport.of(NativeLibrary.CUDNN).problem())
          .contains(
              "-Dgatun.lib.cudnn=/nonexistent/libcudnn.so.9 is not a library that loads: install cuDNN 9 (apt"
                  + " libcudnn9-cuda-13, pip nvidia-cudnn-cu13, conda cudnn), or point -Dgatun.lib.cudnn at the file");
      assertThatThrownBy(() -> NativeLibrary.CUDNN.find("cudnnGetVersion"))
          .isInstanceOf(NativeLibrary.MissingNativeLibraryError.class);
      assertThat(LibraryReport.all()).hasSize(5);
    } finally {
      System.clearProperty("gatun.lib.cudnn");
    }
  }

  @Test
  void aLibraryWithoutTheExpectedFunctionIsRefused() {
    System.setProperty(FakeDriver.CUBLASLT, System.getProperty(FakeDriver.CUDA));
    assertThat(NativeLibrary.CUBLASLT.isAvailable()).isFalse();
    assertThat(NativeLibrary.CUBLASLT.failure()).contains("is not a library that loads");
  }
}
