package dev.gatun.cuda;

import dev.gatun.FailureException;
import dev.gatun.bindings.cuda.Cuda;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Locale;

/// A call into the CUDA driver or one of its libraries failed. The message is one sentence: the
/// call with its arguments, the error's name, number and description, and what to do where that is
/// known.
public final class CudaException extends FailureException {
  private static final long serialVersionUID = 1L;
  private static final String FREE_MEMORY =
      "free memory on the GPU (nvidia-smi lists who holds it) or lower the batch size or the"
          + " sequence length";

  private final int code;
  private final String errorName;

  private CudaException(int code, String errorName, String message) {
    super(message);
    this.code = code;
    this.errorName = errorName;
  }

  /// The driver's `CUresult`, or the library's status.
  public int code() {
    return code;
  }

  /// The name of the code: `CUDA_ERROR_OUT_OF_MEMORY`.
  public String errorName() {
    return errorName;
  }

  /// A failed driver call; `call` holds its name and arguments.
  static CudaException of(int code, String call) {
    String name = text(code, true);
    String remedy = remedy(code);
    return new CudaException(
        code,
        name,
        call
            + " failed: "
            + name
            + " ("
            + code
            + "): "
            + text(code, false)
            + (remedy.isEmpty() ? "" : "; " + remedy));
  }

  /// A failed driver call with the log of the just-in-time compiler.
  static CudaException ofCompiler(int code, String call, String log) {
    CudaException plain = of(code, call);
    String compact = log.strip().replaceAll("\\s*\\R\\s*", " | ");
    return new CudaException(
        code,
        plain.errorName,
        plain.getMessage()
            + (compact.isEmpty() ? "; the driver's compiler logged nothing" : "; log: " + compact));
  }

  /// A failed call of a library that names its statuses itself.
  static CudaException ofLibrary(int code, String name, String call) {
    return new CudaException(code, name, call + " failed: " + name + " (" + code + ")");
  }

  /// Device memory that cannot be had: how much was wanted, how much is left, what to change.
  ///
  /// @param memory free and total bytes
  static CudaException outOfMemory(
      CudaException cause, Device device, String name, long bytes, long[] memory) {
    CudaException result =
        new CudaException(
            cause.code,
            cause.errorName,
            ("no device memory for '%s': it takes %s (%d bytes) and %s has %s free of %s; %s")
                .formatted(
                    name,
                    mebibytes(bytes),
                    bytes,
                    device,
                    mebibytes(memory[0]),
                    mebibytes(memory[1]),
                    FREE_MEMORY));
    result.initCause(cause);
    return result;
  }

  /// Page-locked host memory that cannot be had.
  static CudaException outOfPinnedMemory(CudaException cause, String name, long bytes) {
    CudaException result =
        new CudaException(
            cause.code,
            cause.errorName,
            ("no page-locked host memory for '%s', which takes %s: free memory on this machine or"
                    + " raise its limit (ulimit -l, the container's memory)")
                .formatted(name, mebibytes(bytes)));
    result.initCause(cause);
    return result;
  }

  boolean isOutOfMemory() {
    return code == Cuda.CUDA_ERROR_OUT_OF_MEMORY();
  }

  private static String mebibytes(long bytes) {
    return String.format(Locale.ROOT, "%,.1f MiB", bytes / (double) (1 << 20));
  }

  private static String text(int code, boolean name) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
      int status = name ? Cuda.cuGetErrorName(code, out) : Cuda.cuGetErrorString(code, out);
      MemorySegment text = out.get(ValueLayout.ADDRESS, 0);
      if (status != 0 || text.address() == 0) {
        return name ? "CUDA_ERROR" : "an error that this driver does not describe";
      }
      return text.reinterpret(1024).getString(0);
    }
  }

  private static String remedy(int code) {
    if (code == Cuda.CUDA_ERROR_OUT_OF_MEMORY()) {
      return FREE_MEMORY;
    }
    if (isKernelFault(code)) {
      return "a kernel launched earlier may be the cause: run again with"
          + " -Dgatun.cuda.blocking=true, which names it";
    }
    if (code == Cuda.CUDA_ERROR_UNSUPPORTED_PTX_VERSION()) {
      return "install a newer NVIDIA driver";
    }
    if (code == Cuda.CUDA_ERROR_DEVICE_UNAVAILABLE()) {
      return "another process holds the GPU exclusively: end it, take another GPU, or set the"
          + " compute mode to DEFAULT with nvidia-smi -c 0";
    }
    if (code == Cuda.CUDA_ERROR_JIT_COMPILER_NOT_FOUND()) {
      return "libnvidia-ptxjitcompiler.so.1, a part of the NVIDIA driver, is missing: in a container"
          + " add 'compute' to NVIDIA_DRIVER_CAPABILITIES";
    }
    if (code == Cuda.CUDA_ERROR_JIT_COMPILATION_DISABLED()) {
      return "unset CUDA_DISABLE_PTX_JIT: the kernels are compiled by the driver";
    }
    if (code == Cuda.CUDA_ERROR_ECC_UNCORRECTABLE()) {
      return "the GPU's memory has an error: reset the GPU or take another one";
    }
    if (code == Cuda.CUDA_ERROR_SYSTEM_DRIVER_MISMATCH()
        || code == Cuda.CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE()) {
      return "libcuda.so.1 and the kernel module are of different versions: reboot, or take the"
          + " compat library off LD_LIBRARY_PATH";
    }
    if (code == Cuda.CUDA_ERROR_SYSTEM_NOT_READY()) {
      return "start nvidia-fabricmanager, or check that nvidia-smi works";
    }
    if (code == Cuda.CUDA_ERROR_STUB_LIBRARY()) {
      return "take the toolkit's stubs folder off LD_LIBRARY_PATH: it hides the driver's library";
    }
    return "";
  }

  private static boolean isKernelFault(int code) {
    return code == Cuda.CUDA_ERROR_ILLEGAL_ADDRESS()
        || code == Cuda.CUDA_ERROR_MISALIGNED_ADDRESS()
        || code == Cuda.CUDA_ERROR_ILLEGAL_INSTRUCTION()
        || code == Cuda.CUDA_ERROR_INVALID_ADDRESS_SPACE()
        || code == Cuda.CUDA_ERROR_INVALID_PC()
        || code == Cuda.CUDA_ERROR_HARDWARE_STACK_ERROR()
        || code == Cuda.CUDA_ERROR_ASSERT()
        || code == Cuda.CUDA_ERROR_LAUNCH_TIMEOUT()
        || code == Cuda.CUDA_ERROR_LAUNCH_FAILED();
  }
}
