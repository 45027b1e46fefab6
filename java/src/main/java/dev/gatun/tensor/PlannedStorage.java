package dev.gatun.tensor;

/// Storage that has a size but no memory: what tensors view while memory is only being planned.
public record PlannedStorage(long byteSize) implements Storage {
  /// A contiguous tensor in storage of its own size.
  public static Tensor tensor(DType dtype, Shape shape) {
    long bytes = Math.multiplyExact(shape.count(), dtype.bytes());
    return Tensor.of(new PlannedStorage(bytes), 0, dtype, shape);
  }
}
