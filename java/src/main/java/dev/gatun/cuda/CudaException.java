package dev.gatun.cuda;

import dev.gatun.FailureException;
import dev.gatun.bindings.cuda.Cuda;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// A call into the CUDA driver or one of its libraries failed. The message is one sentence: the
/// call with its arguments, the error's name, number and description, and what to do where that is
/// known.
public final class CudaException extends FailureException {
  private static final long serialVersionUID = 1L;

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
      return "free memory on the GPU (nvidia-smi lists who holds it) or lower the batch size or"
          + " the sequence length";
    }
    if (isKernelFault(code)) {
      return "a kernel launched earlier may be the cause: run again with"
          + " -Dgatun.cuda.blocking=true, which names it";
    }
    if (code == Cuda.CUDA_ERROR_UNSUPPORTED_PTX_VERSION()) {
      return "install a newer NVIDIA driver";
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
