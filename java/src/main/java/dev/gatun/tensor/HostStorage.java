package dev.gatun.tensor;

import java.lang.foreign.MemorySegment;

/// Host memory: an arena's block, a mapped file, or an array.
public record HostStorage(MemorySegment segment) implements Storage {
  @Override
  public long byteSize() {
    return segment.byteSize();
  }
}
