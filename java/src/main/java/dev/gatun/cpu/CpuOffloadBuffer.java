package dev.gatun.cpu;

import dev.gatun.op.OffloadBuffer;
import dev.gatun.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/// Plain copies: on the CPU nothing is gained, but the same code runs as on a device.
final class CpuOffloadBuffer implements OffloadBuffer {
  private final Arena arena = Arena.ofShared();
  private final List<Long> slotBytes;
  private final MemorySegment memory;

  CpuOffloadBuffer(List<Long> slotBytes) {
    this.slotBytes = List.copyOf(slotBytes);
    memory = arena.allocate(Math.max(1, OffloadBuffer.sum(slotBytes)), 64);
  }

  @Override
  public void store(int slot, Tensor source) {
    slice(slot, source).copyFrom(source.segment());
  }

  @Override
  public void prefetch(int slot, Tensor destination) {
    destination.segment().copyFrom(slice(slot, destination));
  }

  private MemorySegment slice(int slot, Tensor tensor) {
    long offset = OffloadBuffer.offset(tensor, slot, slotBytes);
    return memory.asSlice(offset, tensor.byteSize());
  }

  @Override
  public void await(int slot) {
    // Copies are done when they return.
  }

  @Override
  public long byteSize() {
    return OffloadBuffer.sum(slotBytes);
  }

  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}
