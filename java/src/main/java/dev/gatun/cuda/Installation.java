package dev.gatun.cuda;

import dev.gatun.FailureException;
import dev.gatun.bindings.NativeLibrary;
import java.io.IOException;
import java.io.InputStream;
import java.util.List;
import java.util.Optional;
import java.util.Properties;

/// What this machine and this build have of CUDA: the driver, its GPUs, our kernels, and the
/// libraries that are opened at run time. Taking stock never throws; an absence is a value with its
/// remedy.
///
/// @param driver the driver's library
/// @param kernels PTX version of the kernels in this build, or empty if it has none
/// @param problem why no GPU can be used, with the remedy; empty when there is one
public record Installation(
    LibraryReport driver,
    Optional<Kernels> kernels,
    List<Device> gpus,
    Optional<String> problem,
    List<Library> libraries) {

  public Installation {
    gpus = List.copyOf(gpus);
    libraries = List.copyOf(libraries);
  }

  /// The kernels of this build.
  ///
  /// @param ptxVersion `9.0`
  /// @param driverSeries the oldest driver series that reads it: 580
  public record Kernels(String ptxVersion, int driverSeries, int requiredCuda) {}

  /// One optional library and what it is used for.
  public record Library(LibraryReport report, String purpose) {}

  /// Looks at the machine. The first call opens the driver, which takes about 0.2 s on a GPU host.
  public static Installation probe() {
    List<Library> libraries =
        List.of(
            library(NativeLibrary.CUBLASLT, "matrix products of large batches"),
            library(NativeLibrary.NCCL, "several GPUs, not used yet"),
            library(NativeLibrary.CUDNN, "an alternative attention, not used yet"));
    Optional<Kernels> kernels = builtKernels();
    LibraryReport driver = LibraryReport.of(NativeLibrary.CUDA);
    List<Device> gpus = List.of();
    Optional<String> problem;
    try {
      gpus = Device.list();
      problem = gpus.stream().anyMatch(Device::isSupported) ? driverProblem(kernels) : old(gpus);
    } catch (FailureException e) {
      problem = Optional.of(e.getMessage());
    }
    return new Installation(driver, kernels, gpus, problem, libraries);
  }

  private static Optional<String> driverProblem(Optional<Kernels> kernels) {
    if (kernels.isEmpty()) {
      return Optional.of("this build has no GPU kernels: build with the CUDA Toolkit 13 (nvcc)");
    }
    Kernels built = kernels.get();
    int found = Driver.version();
    return found >= built.requiredCuda()
        ? Optional.empty()
        : Optional.of(
            Driver.tooOld(found, built.requiredCuda(), "PTX " + built.ptxVersion()).getMessage());
  }

  private static Optional<String> old(List<Device> gpus) {
    return gpus.stream().findFirst().map(Context::tooOld);
  }

  private static Library library(NativeLibrary library, String purpose) {
    return new Library(LibraryReport.of(library), purpose);
  }

  private static Optional<Kernels> builtKernels() {
    Properties properties = new Properties();
    try (InputStream in =
        Installation.class.getResourceAsStream("/dev/gatun/kernels/kernels.properties")) {
      if (in != null) {
        properties.load(in);
      }
    } catch (IOException e) {
      return Optional.empty(); // an unreadable jar has no kernels either
    }
    return Optional.ofNullable(properties.getProperty("ptx"))
        .filter(version -> !version.isBlank())
        .map(version -> kernels(PtxVersion.of(".version " + version)));
  }

  private static Kernels kernels(PtxVersion version) {
    int cuda = version.requiredCuda();
    return new Kernels(version.toString(), PtxVersion.driverSeries(cuda), cuda);
  }
}
