package dev.gatun.cuda.op;

import dev.gatun.cuda.Context;
import dev.gatun.cuda.DeviceBuffer;
import dev.gatun.cuda.Event;
import dev.gatun.cuda.PinnedBuffer;
import dev.gatun.cuda.Stream;
import java.lang.foreign.MemorySegment;

/// Copies between pageable host memory and the device through two pinned halves, so that filling
/// one overlaps the transfer of the other, in the order of one stream. A half is filled to its end
/// before the other is taken: many small uploads wait for nothing.
final class Staging implements AutoCloseable {
  private static final long ALIGNMENT = 64;

  private final Stream stream;
  private final long halfBytes;
  private final PinnedBuffer[] halves = new PinnedBuffer[2];
  private final Event[] done = new Event[2];
  private int half;
  private long used;

  /// @param halfBytes a multiple of 64
  Staging(Context context, Stream stream, long halfBytes) {
    this.stream = stream;
    this.halfBytes = halfBytes;
    for (int i = 0; i < 2; i++) {
      halves[i] = context.allocatePinned(stream.name() + " staging " + i, halfBytes);
      done[i] = context.event();
      stream.record(done[i]);
    }
  }

  Stream stream() {
    return stream;
  }

  /// Returns once the source has been read.
  ///
  /// @return what the stream reaches when the device has everything; valid until the next call here
  Event upload(DeviceBuffer target, long offset, MemorySegment source) {
    long at = 0;
    while (at < source.byteSize()) {
      if (used == halfBytes) {
        turn();
      }
      long bytes = Math.min(halfBytes - used, source.byteSize() - at);
      MemorySegment.copy(source, at, halves[half].segment(), used, bytes);
      stream.upload(target, offset + at, halves[half], used, bytes);
      stream.record(done[half]);
      used = Math.min(halfBytes, Math.ceilDiv(used + bytes, ALIGNMENT) * ALIGNMENT);
      at += bytes;
    }
    return done[half];
  }

  /// Returns once the target is filled.
  void download(MemorySegment target, DeviceBuffer source, long offset) {
    for (long at = 0; at < target.byteSize(); at += halfBytes) {
      long bytes = Math.min(halfBytes, target.byteSize() - at);
      turn();
      stream.download(halves[half], 0, source, offset + at, bytes);
      stream.record(done[half]);
      done[half].synchronize();
      MemorySegment.copy(halves[half].segment(), 0, target, at, bytes);
    }
  }

  /// Takes the other half, once its copies are done.
  private void turn() {
    half = 1 - half;
    done[half].synchronize();
    used = 0;
  }

  @Override
  public void close() {
    for (int i = 0; i < 2; i++) {
      done[i].close();
      halves[i].close();
    }
  }
}
