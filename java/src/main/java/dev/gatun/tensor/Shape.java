package dev.gatun.tensor;

import java.util.Arrays;

/// Dimensions of a tensor, outermost first. A value: immutable, compared by content.
public final class Shape {
  private final long[] dims;

  private Shape(long[] dims) {
    this.dims = dims;
  }

  /// A shape of the given dimensions.
  ///
  /// @throws IllegalArgumentException for a negative dimension or more than 2^63-1 elements
  public static Shape of(long... dims) {
    for (long dim : dims) {
      if (dim < 0) {
        throw new IllegalArgumentException("negative dimension in shape " + Arrays.toString(dims));
      }
    }
    Shape shape = new Shape(dims.clone());
    try {
      shape.count();
    } catch (ArithmeticException e) {
      throw new IllegalArgumentException("too many elements in shape " + shape, e);
    }
    return shape;
  }

  /// Number of dimensions; 0 for a scalar.
  public int rank() {
    return dims.length;
  }

  /// Size of dimension `index`; negative indices count from the last.
  public long dim(int index) {
    return dims[index < 0 ? dims.length + index : index];
  }

  /// Number of elements; 1 for a scalar.
  public long count() {
    long count = 1;
    boolean empty = false;
    for (long dim : dims) {
      empty |= dim == 0;
    }
    if (empty) {
      return 0;
    }
    for (long dim : dims) {
      count = Math.multiplyExact(count, dim);
    }
    return count;
  }

  /// Elements in one step of dimension 0: the product of the other dimensions.
  public long innerCount() {
    long count = 1;
    for (int i = 1; i < dims.length; i++) {
      count *= dims[i];
    }
    return count;
  }

  /// A copy of the dimensions.
  public long[] toArray() {
    return dims.clone();
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Shape shape && Arrays.equals(dims, shape.dims);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(dims);
  }

  @Override
  public String toString() {
    return Arrays.toString(dims);
  }
}
