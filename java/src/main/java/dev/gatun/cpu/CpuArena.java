package dev.gatun.cpu;

import dev.gatun.op.ArenaEvent;
import dev.gatun.op.ArenaExhaustedException;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.HostStorage;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.lang.foreign.Arena;

/// Host memory outside the heap, handed out from the bottom up. Use after [#close] is an
/// [IllegalStateException], also through tensors.
final class CpuArena implements TensorArena {
  private final String name;
  private final long capacity;
  private final Arena memory = Arena.ofShared();
  private final HostStorage storage;
  private long used;
  private long peak;

  CpuArena(String name, long bytes) {
    this.name = name;
    this.capacity = bytes;
    storage = new HostStorage(memory.allocate(Math.max(bytes, 1), ALIGNMENT));
    ArenaEvent.reserved(name, bytes);
  }

  @Override
  public Tensor allocate(DType dtype, Shape shape) {
    requireOpen();
    long bytes;
    try {
      bytes = TensorArena.sizeOf(dtype, shape.count());
    } catch (ArithmeticException _) {
      throw new ArenaExhaustedException(name, Long.MAX_VALUE, used, capacity);
    }
    // The tail of the last tensor need not be there.
    if (shape.count() * dtype.bytes() > capacity - used) {
      throw new ArenaExhaustedException(name, bytes, used, capacity);
    }
    Tensor tensor = Tensor.of(storage, used, dtype, shape);
    used = Math.min(capacity, used + bytes);
    peak = Math.max(peak, used);
    return tensor;
  }

  @Override
  public long mark() {
    requireOpen();
    return used;
  }

  @Override
  public void release(long mark) {
    requireOpen();
    if (mark < 0 || mark > used) {
      throw new IllegalArgumentException(
          "arena '" + name + "': mark " + mark + " is beyond position " + used);
    }
    used = mark;
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public long capacityBytes() {
    return capacity;
  }

  @Override
  public long peakBytes() {
    return peak;
  }

  @Override
  public void close() {
    if (memory.scope().isAlive()) {
      memory.close();
      ArenaEvent.freed(name, capacity, peak);
    }
  }

  boolean isOpen() {
    return memory.scope().isAlive();
  }

  private void requireOpen() {
    if (!memory.scope().isAlive()) {
      throw new IllegalStateException("arena '" + name + "' is closed");
    }
  }
}
