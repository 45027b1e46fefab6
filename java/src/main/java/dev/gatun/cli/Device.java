package dev.gatun.cli;

import dev.gatun.FailureException;
import dev.gatun.InputException;
import dev.gatun.cpu.CpuBackend;
import dev.gatun.op.Backend;

/// The one place that picks a backend.
final class Device {
  private Device() {}

  /// Opens the backend that `name` asks for: `cpu`, or `auto` for the best there is.
  ///
  /// @throws InputException for an unknown name
  /// @throws FailureException for a device that cannot be used
  static Backend open(String name) {
    if (name.equals("cpu") || name.equals("auto")) {
      return CpuBackend.create();
    }
    if (name.matches("cuda(:\\d+)?")) {
      throw new FailureException(
          "Device '"
              + name
              + "' cannot be used: this version trains on the CPU only; use"
              + " --device cpu.");
    }
    throw new InputException("There is no device '" + name + "': use cpu.");
  }
}
