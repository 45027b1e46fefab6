package dev.gatun.kernels;

import dev.gatun.cuda.DevicePtr;
import dev.gatun.tensor.DType;

/// A row-major matrix in the caller's device memory.
///
/// @param rowStride elements from one row to the next, at least `cols`
public record Matrix(DevicePtr address, DType dtype, long rows, long cols, long rowStride)
    implements WeightMatrix {
  public Matrix {
    Require.address(address, dtype);
    if (rows <= 0 || cols <= 0 || rowStride < cols) {
      throw new IllegalArgumentException(
          "a matrix of %d x %d with rows %d apart".formatted(rows, cols, rowStride));
    }
  }

  /// A contiguous BF16 matrix: activations, dense weights, compute copies of A and B.
  public static Matrix bf16(DevicePtr address, long rows, long cols) {
    return new Matrix(address, DType.BF16, rows, cols, cols);
  }

  /// A contiguous F32 matrix: gradients of parameters.
  public static Matrix f32(DevicePtr address, long rows, long cols) {
    return new Matrix(address, DType.F32, rows, cols, cols);
  }

  /// The same elements in rows that lie `elements` apart: a part of a wider matrix.
  public Matrix withRowStride(long elements) {
    return new Matrix(address, dtype, rows, cols, elements);
  }

  @Override
  public long out() {
    return rows;
  }

  @Override
  public long in() {
    return cols;
  }
}
