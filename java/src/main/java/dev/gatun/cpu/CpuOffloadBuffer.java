package dev.gatun.cpu;

import dev.gatun.op.OffloadBuffer;
import dev.gatun.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/// Plain copies: on the CPU nothing is gained, but the same code runs as on a device.
final class CpuOffloadBuffer implements OffloadBuffer {
  private final Arena arena = Arena.ofShared();
  private final int slots;
  private final long slotBytes;
  private final MemorySegment memory;

  CpuOffloadBuffer(int slots, long slotBytes) {
    this.slots = slots;
    this.slotBytes = slotBytes;
    memory = arena.allocate(Math.max(1, Math.multiplyExact(slots, slotBytes)), 64);
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
    long offset = OffloadBuffer.offset(tensor, slot, slots, slotBytes);
    return memory.asSlice(offset, tensor.byteSize());
  }

  @Override
  public void await(int slot) {
    // Copies are done when they return.
  }

  @Override
  public long byteSize() {
    return slots * slotBytes;
  }

  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}
