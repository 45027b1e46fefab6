package dev.gatun.cuda.op;

import dev.gatun.cuda.Context;
import dev.gatun.cuda.DeviceBuffer;
import dev.gatun.cuda.PinnedBuffer;
import dev.gatun.op.ArenaEvent;
import dev.gatun.op.ArenaExhaustedException;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Storage;
import dev.gatun.tensor.Tensor;

/// One block of device memory, or of pinned host memory, handed out from the bottom up. Use after
/// [#close] throws, also through tensors.
final class CudaArena implements TensorArena {
  private final String name;
  private final Storage storage;
  private final Runnable requireOpen;
  private final Runnable free;
  private final long capacity;
  private long used;
  private long peak;

  private CudaArena(
      String name, Storage storage, Runnable requireOpen, Runnable free, long capacity) {
    this.name = name;
    this.storage = storage;
    this.requireOpen = requireOpen;
    this.free = free;
    this.capacity = capacity;
    ArenaEvent.reserved(name, capacity);
  }

  CudaArena(Context context, String name, long bytes) {
    this(name, context.allocate(name, Math.max(bytes, ALIGNMENT)), bytes);
  }

  /// Over memory that may be another library's, at a multiple of 256 bytes; closing the arena
  /// closes the buffer.
  CudaArena(String name, DeviceBuffer buffer, long bytes) {
    this(name, new DeviceStorage(buffer), buffer::pointer, buffer::close, bytes);
  }

  /// Over pinned host memory, which the arena frees.
  CudaArena(String name, PinnedBuffer buffer, long bytes) {
    this(name, new PinnedStorage(buffer), buffer::segment, buffer::close, bytes);
  }

  @Override
  public Tensor allocate(DType dtype, Shape shape) {
    requireOpen.run();
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
    requireOpen.run();
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
    free.run();
    ArenaEvent.freed(name, capacity, peak);
  }
}
