package dev.gatun.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/// A block of device memory, aligned to 256 bytes, of unspecified content at first. Every access
/// checks the range and that the buffer is open before the driver sees it.
public final class DeviceBuffer implements AutoCloseable {
  private static final long HEAP_CHUNK = 1 << 20;

  private final Context context;
  private final long address;
  private final long byteSize;
  private final boolean owned;
  private final Lifetime lifetime;

  DeviceBuffer(Context context, String name, long bytes) {
    if (bytes <= 0) {
      throw new IllegalArgumentException(
          "device buffer " + name + " needs a positive size, not " + bytes);
    }
    context.makeCurrent();
    this.context = context;
    this.byteSize = bytes;
    this.address = reserve(context, name, bytes);
    this.owned = true;
    this.lifetime =
        Lifetime.start(context, this, "device buffer %s (%d bytes)".formatted(name, bytes));
  }

  private DeviceBuffer(Context context, String name, DevicePtr start, long bytes) {
    this.context = context;
    this.byteSize = bytes;
    this.address = start.address();
    this.owned = false;
    this.lifetime =
        Lifetime.start(context, this, "foreign buffer %s (%d bytes)".formatted(name, bytes));
  }

  static DeviceBuffer foreign(Context context, String name, DevicePtr start, long bytes) {
    if (bytes <= 0 || start.isNull()) {
      throw new IllegalArgumentException(
          "foreign buffer %s of %d bytes at %s".formatted(name, bytes, start));
    }
    return new DeviceBuffer(context, name, start, bytes);
  }

  private static long reserve(Context context, String name, long bytes) {
    try {
      return Driver.memAlloc(bytes);
    } catch (CudaException e) {
      throw e.isOutOfMemory()
          ? CudaException.outOfMemory(e, context.device(), name, bytes, Driver.memoryInfo())
          : e;
    }
  }

  public Context context() {
    return context;
  }

  public long byteSize() {
    return byteSize;
  }

  /// The start of the buffer.
  public DevicePtr pointer() {
    return new DevicePtr(address(0, byteSize));
  }

  /// The address of a range.
  ///
  /// @throws IndexOutOfBoundsException if the range is not within the buffer
  public DevicePtr pointer(long offset, long bytes) {
    return new DevicePtr(address(offset, bytes));
  }

  /// Copies host memory of any kind to `offset` and waits. It is ordered after no stream's work:
  /// synchronise first where that matters.
  public void upload(long offset, MemorySegment source) {
    long target = address(offset, source.byteSize());
    context.makeCurrent();
    if (source.isNative()) {
      Driver.upload(target, source);
      return;
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment chunk = arena.allocate(Math.min(HEAP_CHUNK, source.byteSize()));
      for (long at = 0; at < source.byteSize(); at += chunk.byteSize()) {
        long bytes = Math.min(chunk.byteSize(), source.byteSize() - at);
        MemorySegment.copy(source, at, chunk, 0, bytes);
        Driver.upload(target + at, chunk.asSlice(0, bytes));
      }
    }
  }

  /// Copies from `offset` into host memory of any kind and waits; ordered like [#upload].
  public void download(MemorySegment target, long offset) {
    long source = address(offset, target.byteSize());
    context.makeCurrent();
    if (target.isNative()) {
      Driver.download(target, source);
      return;
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment chunk = arena.allocate(Math.min(HEAP_CHUNK, target.byteSize()));
      for (long at = 0; at < target.byteSize(); at += chunk.byteSize()) {
        long bytes = Math.min(chunk.byteSize(), target.byteSize() - at);
        Driver.download(chunk.asSlice(0, bytes), source + at);
        MemorySegment.copy(chunk, 0, target, at, bytes);
      }
    }
  }

  @Override
  public void close() {
    lifetime.end(() -> {
      if (owned) {
        Driver.memFree(address);
      }
    });
  }

  @Override
  public String toString() {
    return lifetime.description();
  }

  /// The device address of a checked range.
  long address(long offset, long bytes) {
    lifetime.requireOpen();
    if (offset < 0 || bytes < 0 || offset > byteSize - bytes) {
      throw new IndexOutOfBoundsException(
          "%d bytes at offset %d are outside %s".formatted(bytes, offset, this));
    }
    return address + offset;
  }
}
