package dev.gatun.op;

import dev.gatun.tensor.DType;
import dev.gatun.tensor.PlannedStorage;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;

/// An arena without memory that only counts: what it has handed out at most is the plan for a real
/// one.
public final class PlanningArena implements TensorArena {
  private final String name;
  private long position;
  private long peak;

  public PlanningArena(String name) {
    this.name = name;
  }

  @Override
  public Tensor allocate(DType dtype, Shape shape) {
    take(TensorArena.sizeOf(dtype, shape.count()));
    return PlannedStorage.tensor(dtype, shape);
  }

  /// Counts `bytes` of scratch that are released at once.
  void scratch(long bytes) {
    long mark = position;
    take(bytes);
    position = mark;
  }

  private void take(long bytes) {
    position = Math.addExact(position, bytes);
    peak = Math.max(peak, position);
  }

  @Override
  public long mark() {
    return position;
  }

  @Override
  public void release(long mark) {
    position = mark;
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public long capacityBytes() {
    return Long.MAX_VALUE;
  }

  @Override
  public long peakBytes() {
    return peak;
  }

  @Override
  public void close() {
    // There is nothing to free.
  }
}
