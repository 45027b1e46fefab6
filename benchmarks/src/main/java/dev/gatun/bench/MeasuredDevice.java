package dev.gatun.bench;

import dev.gatun.InputException;
import dev.gatun.cpu.CpuBackend;
import dev.gatun.op.Backend;

/// A backend and the clock that suits it.
record MeasuredDevice(Backend backend, Stopwatch stopwatch, boolean isGpu)
    implements AutoCloseable {
  /// Opens `cpu`, or `auto` for the best there is.
  ///
  /// @throws InputException for an unknown name
  static MeasuredDevice open(String name) {
    if (name.equals("cpu") || name.equals("auto")) {
      Backend backend = CpuBackend.create();
      return new MeasuredDevice(backend, Stopwatch.wallClock(backend), false);
    }
    throw new InputException("There is no device '" + name + "': use cpu.");
  }

  @Override
  public void close() {
    backend.close();
  }
}
