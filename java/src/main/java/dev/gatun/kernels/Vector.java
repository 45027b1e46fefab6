package dev.gatun.kernels;

import dev.gatun.cuda.DevicePtr;
import dev.gatun.tensor.DType;

/// Contiguous elements in the caller's device memory.
public record Vector(DevicePtr address, DType dtype, long count) {
  public Vector {
    Require.address(address, dtype);
    if (count <= 0) {
      throw new IllegalArgumentException("a vector of " + count + " elements");
    }
  }

  public static Vector f32(DevicePtr address, long count) {
    return new Vector(address, DType.F32, count);
  }

  public static Vector bf16(DevicePtr address, long count) {
    return new Vector(address, DType.BF16, count);
  }

  public static Vector i32(DevicePtr address, long count) {
    return new Vector(address, DType.I32, count);
  }
}
