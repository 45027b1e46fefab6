package dev.gatun.cuda;

import java.lang.foreign.MemorySegment;

/// A queue of work on the device. Work on one stream runs in order; streams are ordered by events.
/// Every operation here is asynchronous but [#synchronize].
///
/// A buffer that queued work uses must stay open until the work is done.
public final class Stream implements AutoCloseable {
  private final Context context;
  private final String name;
  private final MemorySegment handle;
  private final boolean owned;
  private final Lifetime lifetime;
  private volatile boolean capturing;

  private Stream(Context context, String name, MemorySegment handle, boolean owned) {
    this.context = context;
    this.name = name;
    this.handle = handle;
    this.owned = owned;
    this.lifetime = Lifetime.start(context, this, "stream " + name);
  }

  static Stream create(Context context, String name, boolean urgent) {
    context.makeCurrent();
    int priority = urgent ? Driver.streamPriorityRange()[1] : 0;
    return new Stream(context, name, Driver.streamCreate(priority), true);
  }

  static Stream foreign(Context context, String name, MemorySegment handle) {
    return new Stream(context, name, handle, false);
  }

  public Context context() {
    return context;
  }

  public String name() {
    return name;
  }

  /// The driver's `CUstream`, for other libraries.
  public long address() {
    return handle().address();
  }

  /// Waits for all work queued so far; errors of that work surface here.
  public void synchronize() {
    Driver.streamSynchronize(enter(), () -> name);
  }

  /// True if all work queued so far is done.
  public boolean isIdle() {
    return Driver.streamIsIdle(enter());
  }

  /// Later work on this stream waits until `event`'s last record is reached.
  public void waitFor(Event event) {
    context.requireSame(event.context(), "the event");
    Driver.streamWait(enter(), event.handle());
  }

  /// Marks this point of the stream.
  public void record(Event event) {
    context.requireSame(event.context(), "the event");
    Driver.eventRecord(event.handle(), enter());
  }

  /// Copies pinned host memory to the device; the pinned bytes must not change until it is done.
  public void upload(DeviceBuffer target, long offset, PinnedBuffer source, long from, long bytes) {
    requireSame(target);
    MemorySegment host = source.slice(from, bytes);
    Driver.uploadAsync(target.address(offset, bytes), host, enter());
  }

  /// Copies device memory to pinned host memory, which holds the bytes once the stream gets there.
  public void download(
      PinnedBuffer target, long offset, DeviceBuffer source, long from, long bytes) {
    requireSame(source);
    MemorySegment host = target.slice(offset, bytes);
    Driver.downloadAsync(host, source.address(from, bytes), enter());
  }

  /// Copies within the device. The ranges must not overlap.
  public void copy(DeviceBuffer target, long offset, DeviceBuffer source, long from, long bytes) {
    requireSame(target);
    requireSame(source);
    long to = target.address(offset, bytes);
    Driver.copyAsync(to, source.address(from, bytes), bytes, enter());
  }

  /// Sets each byte of a range.
  public void fill(DeviceBuffer target, long offset, long bytes, byte value) {
    requireSame(target);
    Driver.fillAsync(target.address(offset, bytes), value, bytes, enter());
  }

  /// Sets each 32-bit word of a range; offset and size are multiples of 4.
  public void fill(DeviceBuffer target, long offset, long bytes, int value) {
    requireSame(target);
    long address = target.address(offset, bytes);
    if (address % 4 != 0 || bytes % 4 != 0) {
      throw new IllegalArgumentException(
          "fill of %d bytes at offset %d of %s is not made of 32-bit words"
              .formatted(bytes, offset, target));
    }
    Driver.fillAsync(address, value, bytes / 4, enter());
  }

  @Override
  public void close() {
    lifetime.end(() -> {
      if (owned) {
        Driver.streamDestroy(handle);
      }
    });
  }

  @Override
  public String toString() {
    return "stream " + name;
  }

  /// The open stream's handle.
  MemorySegment handle() {
    lifetime.requireOpen();
    return handle;
  }

  /// The open stream's handle, with its context made current.
  MemorySegment enter() {
    lifetime.requireOpen();
    context.makeCurrent();
    return handle;
  }

  boolean isCapturing() {
    return capturing;
  }

  void capturing(boolean now) {
    capturing = now;
  }

  private void requireSame(DeviceBuffer buffer) {
    context.requireSame(buffer.context(), buffer.toString());
  }
}
