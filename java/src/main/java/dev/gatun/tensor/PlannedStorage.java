package dev.gatun.tensor;

/// Storage that has a size but no memory: what tensors view while memory is only being planned. Two
/// of them are never equal, as two regions of memory are not.
public final class PlannedStorage implements Storage {
  private final long byteSize;

  public PlannedStorage(long byteSize) {
    this.byteSize = byteSize;
  }

  @Override
  public long byteSize() {
    return byteSize;
  }

  /// A contiguous tensor in storage of its own size.
  public static Tensor tensor(DType dtype, Shape shape) {
    long bytes = Math.multiplyExact(shape.count(), dtype.bytes());
    return Tensor.of(new PlannedStorage(bytes), 0, dtype, shape);
  }
}
