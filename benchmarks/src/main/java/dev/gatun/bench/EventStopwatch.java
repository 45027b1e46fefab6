package dev.gatun.bench;

import dev.gatun.cuda.Event;
import dev.gatun.cuda.op.CudaBackend;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;

/// The device's own clock, by events on the backend's stream. Copies before the first event keep
/// the device busy until the host has queued everything, so that the host's part is not measured;
/// they also push earlier data out of the cache.
final class EventStopwatch implements Stopwatch, AutoCloseable {
  private static final long COPY_BYTES = 256L << 20;
  private static final int COPIES = 8;

  private final CudaBackend backend;
  private final Event start;
  private final Event stop;
  private final TensorArena arena;
  private final Tensor from;
  private final Tensor to;

  EventStopwatch(CudaBackend backend) {
    this.backend = backend;
    start = backend.context().timingEvent();
    stop = backend.context().timingEvent();
    arena = backend.arena("stopwatch", 2 * COPY_BYTES);
    from = arena.allocate(DType.F32, Shape.of(COPY_BYTES / DType.F32.bytes()));
    to = arena.allocate(DType.F32, from.shape());
    backend.tensor().zero(from);
  }

  @Override
  public double seconds(Runnable work, int repetitions) {
    for (int i = 0; i < COPIES; i++) {
      backend.tensor().copy(to, from);
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
    backend.synchronize();
    arena.close();
    start.close();
    stop.close();
  }
}
