package dev.gatun.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.gatun.bindings.NativeLibrary;
import dev.gatun.bindings.cuda.Cuda;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// What this machine has of CUDA: the driver, its GPUs, and the libraries that are opened at run
/// time. Taking stock never throws; an absence is a value with its remedy.
///
/// @param driverVersion CUDA version the driver supports, as `1000 * major + 10 * minor`
/// @param problem why no GPU can be used, with the remedy; empty when there is one
public record Installation(
    Optional<Integer> driverVersion,
    List<Gpu> gpus,
    Optional<String> problem,
    List<Library> libraries) {

  /// The oldest driver API that reads the PTX we ship: CUDA 13.0, a driver of the R580 series.
  public static final int REQUIRED_VERSION = 13000;

  public Installation {
    gpus = List.copyOf(gpus);
    libraries = List.copyOf(libraries);
  }

  /// One GPU that the driver lists.
  ///
  /// @param computeCapability `major.minor`
  public record Gpu(int ordinal, String name, long memoryBytes, String computeCapability) {}

  /// One optional library.
  ///
  /// @param missing why it cannot be opened, or empty
  public record Library(String name, String purpose, Optional<String> missing) {}

  /// Looks at the machine. The first call opens the driver, which takes about 0.2 s on a GPU host.
  public static Installation probe() {
    List<Library> libraries =
        List.of(
            library(NativeLibrary.CUBLASLT, "matrix products of large batches"),
            library(NativeLibrary.NCCL, "several GPUs"),
            library(NativeLibrary.CUDNN, "an alternative attention"));
    if (!NativeLibrary.CUDA.isAvailable()) {
      return new Installation(
          Optional.empty(),
          List.of(),
          Optional.of(
              "no NVIDIA driver (libcuda.so.1) found: on a machine with an NVIDIA GPU install a"
                  + " driver of the 580 series or newer"),
          libraries);
    }
    return probeDriver(libraries);
  }

  /// `13.0` for 13000.
  public static String versionText(int version) {
    return version / 1000 + "." + version % 1000 / 10;
  }

  private static Installation probeDriver(List<Library> libraries) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment number = arena.allocate(JAVA_INT);
      int version = Cuda.cuDriverGetVersion(number) == 0 ? number.get(JAVA_INT, 0) : 0;
      int status = Cuda.cuInit(0);
      List<Gpu> gpus = new ArrayList<>();
      if (status == 0 && Cuda.cuDeviceGetCount(number) == 0) {
        int count = number.get(JAVA_INT, 0);
        for (int i = 0; i < count; i++) {
          gpus.add(gpu(arena, i));
        }
      }
      return new Installation(
          Optional.of(version), gpus, problem(status, version, gpus), libraries);
    }
  }

  private static Optional<String> problem(int status, int version, List<Gpu> gpus) {
    if (status != 0) {
      return Optional.of(
          "the driver refuses to start (CUresult "
              + status
              + "): check that nvidia-smi works and that the GPU is visible to this process");
    }
    if (gpus.isEmpty()) {
      return Optional.of("the driver lists no GPU: check CUDA_VISIBLE_DEVICES and nvidia-smi");
    }
    if (version < REQUIRED_VERSION) {
      return Optional.of(
          "the driver supports CUDA "
              + versionText(version)
              + " and the kernels need 13.0: install a driver of the 580 series or newer");
    }
    return Optional.empty();
  }

  private static Gpu gpu(Arena arena, int ordinal) {
    MemorySegment device = arena.allocate(JAVA_INT);
    MemorySegment name = arena.allocate(256);
    MemorySegment bytes = arena.allocate(JAVA_LONG);
    if (Cuda.cuDeviceGet(device, ordinal) != 0) {
      return new Gpu(ordinal, "unknown", 0, "?");
    }
    int id = device.get(JAVA_INT, 0);
    boolean named = Cuda.cuDeviceGetName(name, (int) name.byteSize(), id) == 0;
    boolean sized = Cuda.cuDeviceTotalMem_v2(bytes, id) == 0;
    return new Gpu(
        ordinal,
        named ? name.getString(0) : "unknown",
        sized ? bytes.get(JAVA_LONG, 0) : 0,
        attribute(arena, Cuda.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR(), id)
            + "."
            + attribute(arena, Cuda.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR(), id));
  }

  private static String attribute(Arena arena, int attribute, int device) {
    MemorySegment value = arena.allocate(JAVA_INT);
    boolean known = Cuda.cuDeviceGetAttribute(value, attribute, device) == 0;
    return known ? Integer.toString(value.get(JAVA_INT, 0)) : "?";
  }

  private static Library library(NativeLibrary library, String purpose) {
    return new Library(
        library.name(),
        purpose,
        library.isAvailable() ? Optional.empty() : Optional.of(library.failure()));
  }
}
