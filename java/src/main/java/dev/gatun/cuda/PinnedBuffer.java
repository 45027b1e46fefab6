package dev.gatun.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/// Page-locked host memory, which the device reads and writes at full speed and asynchronously.
public final class PinnedBuffer implements AutoCloseable {
  private final Arena arena = Arena.ofShared();
  private final MemorySegment base;
  private final MemorySegment segment;
  private final Lifetime lifetime;

  PinnedBuffer(Context context, String name, long bytes) {
    if (bytes <= 0) {
      throw new IllegalArgumentException(
          "pinned buffer " + name + " needs a positive size, not " + bytes);
    }
    context.makeCurrent();
    this.base = reserve(name, bytes);
    this.segment = base.reinterpret(bytes, arena, null);
    this.lifetime =
        Lifetime.start(context, this, "pinned buffer %s (%d bytes)".formatted(name, bytes));
  }

  private static MemorySegment reserve(String name, long bytes) {
    try {
      return Driver.hostAlloc(bytes);
    } catch (CudaException e) {
      throw e.isOutOfMemory() ? CudaException.outOfPinnedMemory(e, name, bytes) : e;
    }
  }

  /// The memory; any use after [#close] throws.
  public MemorySegment segment() {
    lifetime.requireOpen();
    return segment;
  }

  public long byteSize() {
    return segment.byteSize();
  }

  /// Where kernels find a range: under unified addressing at the address that the host uses.
  ///
  /// @throws IndexOutOfBoundsException if the range is not within the buffer
  public DevicePtr pointer(long offset, long bytes) {
    return new DevicePtr(slice(offset, bytes).address());
  }

  /// Frees the memory. Copies that are still queued must have ended.
  @Override
  public void close() {
    lifetime.end(() -> {
      arena.close();
      Driver.hostFree(base);
    });
  }

  @Override
  public String toString() {
    return lifetime.description();
  }

  MemorySegment slice(long offset, long bytes) {
    lifetime.requireOpen();
    if (offset < 0 || bytes < 0 || offset > byteSize() - bytes) {
      throw new IndexOutOfBoundsException(
          "%d bytes at offset %d are outside %s".formatted(bytes, offset, this));
    }
    return segment.asSlice(offset, bytes);
  }
}
