package dev.gatun.cuda.op;

import dev.gatun.cuda.Context;
import dev.gatun.cuda.DeviceBuffer;
import dev.gatun.op.ArenaEvent;
import dev.gatun.op.ArenaExhaustedException;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;

/// One block of device memory, handed out from the bottom up. Use after [#close] throws, also
/// through tensors.
final class CudaArena implements TensorArena {
  private final String name;
  private final DeviceBuffer buffer;
  private final DeviceStorage storage;
  private final long capacity;
  private long used;
  private long peak;

  CudaArena(Context context, String name, long bytes) {
    this(name, context.allocate(name, Math.max(bytes, ALIGNMENT)), bytes);
  }

  /// Over memory that may be another library's, at a multiple of 256 bytes; closing the arena
  /// closes the buffer.
  CudaArena(String name, DeviceBuffer buffer, long bytes) {
    this.name = name;
    this.capacity = bytes;
    this.buffer = buffer;
    this.storage = new DeviceStorage(buffer);
    ArenaEvent.reserved(name, bytes);
  }

  @Override
  public Tensor allocate(DType dtype, Shape shape) {
    buffer.pointer();
    long elements = shape.count();
    if (elements > Long.MAX_VALUE / 16 || elements * dtype.bytes() > capacity - used) {
      throw new ArenaExhaustedException(name, elements * dtype.bytes(), used, capacity);
    }
    Tensor tensor = Tensor.of(storage, used, dtype, shape);
    used = Math.min(capacity, used + TensorArena.sizeOf(dtype, elements));
    peak = Math.max(peak, used);
    return tensor;
  }

  @Override
  public long mark() {
    buffer.pointer();
    return used;
  }

  @Override
  public void release(long mark) {
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
    buffer.close();
    ArenaEvent.freed(name, capacity, peak);
  }
}
