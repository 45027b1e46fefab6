package dev.gatun.kernels;

import dev.gatun.op.ArenaExhaustedException;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;

/// The scratch of a caller who has not given any.
record NoScratch() implements TensorArena {
  @Override
  public Tensor allocate(DType dtype, Shape shape) {
    throw new ArenaExhaustedException(name(), TensorArena.sizeOf(dtype, shape.count()), 0, 0);
  }

  @Override
  public long mark() {
    return 0;
  }

  @Override
  public void release(long mark) {
    // There is nothing to release.
  }

  @Override
  public String name() {
    return "scratch: call reserveScratch or useScratch first";
  }

  @Override
  public long capacityBytes() {
    return 0;
  }

  @Override
  public long peakBytes() {
    return 0;
  }

  @Override
  public void close() {
    // Nothing is held.
  }
}
