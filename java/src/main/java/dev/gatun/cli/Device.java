package dev.gatun.cli;

import dev.gatun.FailureException;
import dev.gatun.InputException;
import dev.gatun.cpu.CpuBackend;
import dev.gatun.cuda.op.CudaBackend;
import dev.gatun.op.Backend;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// The one place that picks a backend.
final class Device {
  private static final Pattern CUDA = Pattern.compile("cuda(?::(\\d{1,4}))?");

  private Device() {}

  /// Opens the backend that `name` asks for: `cpu`, `cuda`, `cuda:N`, or `auto` for the first GPU
  /// where there is one that this build can use, else the CPU.
  ///
  /// @throws InputException for an unknown name
  /// @throws FailureException for a device that cannot be used
  static Backend open(String name) {
    if (name.equals("cpu")) {
      return CpuBackend.create();
    }
    if (name.equals("auto")) {
      return CudaBackend.isUsable() ? CudaBackend.create(0) : CpuBackend.create();
    }
    Matcher cuda = CUDA.matcher(name);
    if (cuda.matches()) {
      return openGpu(name, cuda.group(1) == null ? 0 : Integer.parseInt(cuda.group(1)));
    }
    throw new InputException("There is no device '" + name + "': use cpu, cuda, cuda:N or auto.");
  }

  private static Backend openGpu(String name, int ordinal) {
    try {
      return CudaBackend.create(ordinal);
    } catch (FailureException e) {
      throw new FailureException("Device '" + name + "' cannot be used: " + e.getMessage(), e);
    }
  }
}
