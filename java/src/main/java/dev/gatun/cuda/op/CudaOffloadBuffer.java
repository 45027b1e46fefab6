package dev.gatun.cuda.op;

import dev.gatun.cuda.Context;
import dev.gatun.cuda.Event;
import dev.gatun.cuda.PinnedBuffer;
import dev.gatun.cuda.Stream;
import dev.gatun.op.OffloadBuffer;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/// Pinned memory and a stream of its own, which events order against the compute stream in both
/// directions.
final class CudaOffloadBuffer implements OffloadBuffer {
  private final Stream compute;
  private final List<Long> slotBytes;
  private final PinnedBuffer memory;
  private final Stream copies;
  private final Event issued;
  private final List<Event> copied = new ArrayList<>();

  CudaOffloadBuffer(Context context, Stream compute, String name, List<Long> slotBytes) {
    this.compute = compute;
    this.slotBytes = List.copyOf(slotBytes);
    // First, because only this can fail for want of memory.
    memory = context.allocatePinned(name, OffloadBuffer.sum(slotBytes));
    copies = context.urgentStream(name);
    issued = context.event();
    for (int i = 0; i < slotBytes.size(); i++) {
      copied.add(context.event());
    }
  }

  @Override
  public void store(int slot, Tensor source) {
    long offset = OffloadBuffer.offset(source, slot, slotBytes);
    waitForCompute();
    copies.download(
        memory, offset, DeviceStorage.buffer(source), source.byteOffset(), source.byteSize());
    copies.record(copied.get(slot));
  }

  @Override
  public void prefetch(int slot, Tensor destination) {
    long offset = OffloadBuffer.offset(destination, slot, slotBytes);
    waitForCompute();
    copies.upload(
        DeviceStorage.buffer(destination),
        destination.byteOffset(),
        memory,
        offset,
        destination.byteSize());
    copies.record(copied.get(slot));
  }

  private void waitForCompute() {
    compute.record(issued);
    copies.waitFor(issued);
  }

  @Override
  public void await(int slot) {
    compute.waitFor(copied.get(slot));
  }

  @Override
  public long byteSize() {
    return memory.byteSize();
  }

  @Override
  public void close() {
    try {
      copies.synchronize();
    } finally {
      copied.forEach(Event::close);
      issued.close();
      copies.close();
      memory.close();
    }
  }
}
