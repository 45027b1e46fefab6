package dev.gatun.bench;

import dev.gatun.FailureException;
import dev.gatun.InputException;
import dev.gatun.cpu.CpuBackend;
import dev.gatun.cuda.op.CudaBackend;
import dev.gatun.op.Backend;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// A backend and the clock that suits it: events on a GPU, the host's on the CPU.
final class MeasuredDevice implements AutoCloseable {
  private static final Pattern CUDA = Pattern.compile("cuda(?::(\\d{1,4}))?");

  private final Backend backend;

  private MeasuredDevice(Backend backend) {
    this.backend = backend;
  }

  /// Opens `cpu`, `cuda`, `cuda:N`, or `auto` for the first GPU, else the CPU.
  ///
  /// @throws InputException for an unknown name
  /// @throws FailureException for a device that cannot be used
  static MeasuredDevice open(String name) {
    if (name.equals("cpu") || name.equals("auto") && !CudaBackend.isUsable()) {
      return new MeasuredDevice(CpuBackend.create());
    }
    Matcher cuda = CUDA.matcher(name.equals("auto") ? "cuda" : name);
    if (!cuda.matches()) {
      throw new InputException("There is no device '" + name + "': use cpu, cuda, cuda:N or auto.");
    }
    int ordinal = cuda.group(1) == null ? 0 : Integer.parseInt(cuda.group(1));
    return new MeasuredDevice(CudaBackend.create(ordinal));
  }

  Backend backend() {
    return backend;
  }

  boolean isGpu() {
    return backend instanceof CudaBackend;
  }

  /// Runs a measurement with the device's clock.
  <T> T timed(Measurement<T> measurement) {
    if (!(backend instanceof CudaBackend gpu)) {
      return measurement.with(Stopwatch.wallClock(backend));
    }
    try (EventStopwatch stopwatch = new EventStopwatch(gpu)) {
      return measurement.with(stopwatch);
    }
  }

  /// What needs a clock.
  interface Measurement<T> {
    T with(Stopwatch stopwatch);
  }

  @Override
  public void close() {
    backend.close();
  }
}
