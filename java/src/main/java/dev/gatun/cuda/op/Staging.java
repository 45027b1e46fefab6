package dev.gatun.cuda.op;

import dev.gatun.cuda.Context;
import dev.gatun.cuda.DeviceBuffer;
import dev.gatun.cuda.Event;
import dev.gatun.cuda.PinnedBuffer;
import dev.gatun.cuda.Stream;
import java.lang.foreign.MemorySegment;

/// Copies between pageable host memory and the device through two pinned halves, so that filling
/// one overlaps the transfer of the other, in the order of the compute stream.
final class Staging implements AutoCloseable {
  private static final long HALF_BYTES = 8L << 20;

  private final Stream stream;
  private final PinnedBuffer[] halves = new PinnedBuffer[2];
  private final Event[] done = new Event[2];
  private int next;

  Staging(Context context, Stream stream) {
    this.stream = stream;
    for (int i = 0; i < 2; i++) {
      halves[i] = context.allocatePinned("staging " + i, HALF_BYTES);
      done[i] = context.event();
      stream.record(done[i]);
    }
  }

  /// Returns once the source has been read.
  void upload(DeviceBuffer target, long offset, MemorySegment source) {
    for (long at = 0; at < source.byteSize(); at += HALF_BYTES) {
      long bytes = Math.min(HALF_BYTES, source.byteSize() - at);
      int half = next;
      next = 1 - next;
      done[half].synchronize();
      MemorySegment.copy(source, at, halves[half].segment(), 0, bytes);
      stream.upload(target, offset + at, halves[half], 0, bytes);
      stream.record(done[half]);
    }
  }

  /// Returns once the target is filled.
  void download(MemorySegment target, DeviceBuffer source, long offset) {
    for (long at = 0; at < target.byteSize(); at += HALF_BYTES) {
      long bytes = Math.min(HALF_BYTES, target.byteSize() - at);
      done[0].synchronize();
      stream.download(halves[0], 0, source, offset + at, bytes);
      stream.record(done[0]);
      done[0].synchronize();
      MemorySegment.copy(halves[0].segment(), 0, target, at, bytes);
    }
  }

  @Override
  public void close() {
    for (int i = 0; i < 2; i++) {
      done[i].close();
      halves[i].close();
    }
  }
}
