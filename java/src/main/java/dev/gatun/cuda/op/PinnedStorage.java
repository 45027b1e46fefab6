package dev.gatun.cuda.op;

import dev.gatun.cuda.PinnedBuffer;
import dev.gatun.tensor.Storage;
import dev.gatun.tensor.Tensor;
import java.lang.foreign.MemorySegment;

/// Pinned host memory behind a tensor: kernels read and write it over the bus, at the address that
/// the host uses. The host may touch it only while no kernel does.
record PinnedStorage(PinnedBuffer buffer) implements Storage {
  @Override
  public long byteSize() {
    return buffer.byteSize();
  }

  /// The memory of a contiguous tensor in this storage.
  MemorySegment segment(Tensor tensor) {
    return buffer.segment().asSlice(tensor.byteOffset(), tensor.byteSize());
  }
}
