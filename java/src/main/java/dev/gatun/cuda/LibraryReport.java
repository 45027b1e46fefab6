package dev.gatun.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.gatun.bindings.NativeLibrary;
import dev.gatun.bindings.cublaslt.CublasLt;
import dev.gatun.bindings.cuda.Cuda;
import dev.gatun.bindings.cudnn.Cudnn;
import dev.gatun.bindings.nccl.Nccl;
import dev.gatun.bindings.nvrtc.Nvrtc;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/// One native library as this process finds it. Looking never throws.
///
/// @param name `CUDA`, `CUBLASLT`, `NCCL`, `NVRTC`, `CUDNN`
/// @param path the file that was opened
/// @param version as the library itself says: `13.1.0`; for `CUDA` the driver API's version
/// @param problem why it cannot be used, one sentence with a remedy, or empty
public record LibraryReport(
    String name, Optional<Path> path, Optional<String> version, Optional<String> problem) {

  /// Every library that Gatun may use, in the order above.
  public static List<LibraryReport> all() {
    return Arrays.stream(NativeLibrary.values()).map(LibraryReport::of).toList();
  }

  static LibraryReport of(NativeLibrary library) {
    if (!library.isAvailable()) {
      return new LibraryReport(
          library.name(), Optional.empty(), Optional.empty(), Optional.of(library.failure()));
    }
    Version version = version(library);
    Optional<String> problem =
        version.supported()
            ? Optional.empty()
            : Optional.of(
                "%s at %s is version %s, which is not supported: install %s"
                    .formatted(
                        library.name(),
                        library.path().map(Path::toString).orElse("an unknown place"),
                        version.text(),
                        library.remedy()));
    return new LibraryReport(library.name(), library.path(), Optional.of(version.text()), problem);
  }

  private record Version(String text, boolean supported) {
    /// `10000 * major + 100 * minor + patch`.
    static Version of(long number, int oldest, int newest) {
      long major = number / 10000;
      return new Version(
          major + "." + number / 100 % 100 + "." + number % 100,
          major >= oldest && major <= newest);
    }
  }

  private static Version version(NativeLibrary library) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment numbers = arena.allocate(JAVA_INT, 2);
      return switch (library) {
        case CUDA -> {
          boolean known = Cuda.cuDriverGetVersion(numbers) == 0;
          int version = numbers.get(JAVA_INT, 0);
          yield new Version(
              known ? Driver.versionText(version) : "unknown",
              known && version >= Driver.OLDEST_CUDA);
        }
        case CUBLASLT -> Version.of(CublasLt.cublasLtGetVersion(), 12, 13);
        case NCCL -> {
          boolean known = Nccl.ncclGetVersion(numbers) == 0;
          yield known ? Version.of(numbers.get(JAVA_INT, 0), 2, 2) : new Version("unknown", false);
        }
        case NVRTC -> {
          boolean known = Nvrtc.nvrtcVersion(numbers, numbers.asSlice(4)) == 0;
          int major = numbers.getAtIndex(JAVA_INT, 0);
          yield new Version(
              known ? major + "." + numbers.getAtIndex(JAVA_INT, 1) : "unknown",
              known && (major == 12 || major == 13));
        }
        case CUDNN -> Version.of(Cudnn.cudnnGetVersion(), 9, 9);
      };
    }
  }
}
