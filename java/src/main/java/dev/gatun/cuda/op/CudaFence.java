package dev.gatun.cuda.op;

import dev.gatun.cuda.Event;
import dev.gatun.cuda.Stream;
import dev.gatun.op.Fence;

/// An event of the compute stream.
record CudaFence(Event event, Stream compute) implements Fence {
  @Override
  public void mark() {
    compute.record(event);
  }

  @Override
  public void close() {
    event.close();
  }
}
