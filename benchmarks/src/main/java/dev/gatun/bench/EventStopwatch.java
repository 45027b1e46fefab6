package dev.gatun.bench;

import dev.gatun.cuda.Event;
import dev.gatun.cuda.op.CudaBackend;

/// The device's own clock, by events on the backend's stream. Copies before the first event keep
/// the device busy until the host has queued everything, so that the host's part is not measured;
/// they also push earlier data out of the cache.
final class EventStopwatch implements Stopwatch, AutoCloseable {
  private static final long COPY_BYTES = 256L << 20;
  private static final int COPIES = 8;

  private final CudaBackend backend;
  private final Event start;
  private final Event stop;
  private final DeviceCopy copy;

  EventStopwatch(CudaBackend backend) {
    this.backend = backend;
    start = backend.context().timingEvent();
    stop = backend.context().timingEvent();
    try (RandomPool values = new RandomPool(backend, 1)) {
      copy = new DeviceCopy(backend, COPY_BYTES, values);
    }
  }

  @Override
  public double seconds(Runnable work, int repetitions) {
    for (int i = 0; i < COPIES; i++) {
      copy.run();
    }
    backend.stream().record(start);
    for (int i = 0; i < repetitions; i++) {
      work.run();
    }
    backend.stream().record(stop);
    stop.synchronize();
    return stop.millisecondsSince(start) / 1e3;
  }

  @Override
  public void close() {
    copy.close();
    start.close();
    stop.close();
  }
}
