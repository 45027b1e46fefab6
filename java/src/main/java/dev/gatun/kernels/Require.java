package dev.gatun.kernels;

import dev.gatun.cuda.DevicePtr;
import dev.gatun.tensor.DType;

/// What operands must satisfy before an address reaches the driver.
final class Require {
  private Require() {}

  static void address(DevicePtr address, DType dtype) {
    if (address.isNull() || address.address() % dtype.bytes() != 0) {
      throw new IllegalArgumentException(
          "%s is no address of %s elements".formatted(address, dtype));
    }
  }

  static void type(String what, Matrix matrix, DType dtype) {
    shape(what, matrix, dtype, matrix.rows(), matrix.cols());
  }

  static void shape(String what, Matrix matrix, DType dtype, long rows, long cols) {
    if (matrix.dtype() != dtype || matrix.rows() != rows || matrix.cols() != cols) {
      throw new IllegalArgumentException(
          "%s is %s [%d, %d] and must be %s [%d, %d]"
              .formatted(what, matrix.dtype(), matrix.rows(), matrix.cols(), dtype, rows, cols));
    }
  }

  static void count(String what, Vector vector, DType dtype, long count) {
    if (vector.dtype() != dtype || vector.count() != count) {
      throw new IllegalArgumentException(
          "%s is %s [%d] and must be %s [%d]"
              .formatted(what, vector.dtype(), vector.count(), dtype, count));
    }
  }

  static void weight(WeightMatrix weight) {
    switch (weight) {
      case Matrix dense -> type("weight", dense, DType.BF16);
      case Nf4Matrix _ -> {}
    }
  }
}
