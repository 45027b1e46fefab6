package dev.gatun.op;

import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;

/// A reserved block of a backend's memory that hands out tensors one after the other. Release goes
/// backwards to a mark. Closing the arena frees the block; tensors in it must not be used
/// afterwards.
public interface TensorArena extends AutoCloseable {
  /// Every tensor starts at a multiple of this many bytes.
  int ALIGNMENT = 256;

  /// A tensor of unspecified content.
  ///
  /// @throws ArenaExhaustedException if the block is too small: a fault of the memory plan, not of
  ///   the user
  Tensor allocate(DType dtype, Shape shape);

  /// The current position.
  long mark();

  /// Frees everything allocated since `mark`.
  void release(long mark);

  String name();

  long capacityBytes();

  /// The highest position ever reached, in bytes.
  long peakBytes();

  @Override
  void close();

  /// Bytes that a tensor of `elements` takes in an arena, alignment included.
  static long sizeOf(DType dtype, long elements) {
    long bytes = Math.multiplyExact(elements, dtype.bytes());
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  }
}
