package dev.gatun.quant;

import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;

/// The scales of a block-quantised weight: the largest magnitude of each block.
public sealed interface Absmax {
  /// Number of blocks.
  long count();

  /// Bytes the scales occupy.
  long byteSize();

  /// One F32 scale a block.
  record Plain(Tensor values) implements Absmax {
    public Plain {
      require(values, DType.F32);
    }

    @Override
    public long count() {
      return values.count();
    }

    @Override
    public long byteSize() {
      return values.byteSize();
    }
  }

  /// Double quantisation: `scale[i] = map[codes[i]] * absmax[i / blockSize] + offset`, all in F32.
  ///
  /// @param codes U8, one a block
  /// @param absmax F32, one for each `blockSize` codes
  /// @param map F32 `[256]`, the dynamic 8-bit code book
  record Nested(Tensor codes, Tensor absmax, Tensor map, float offset, int blockSize)
      implements Absmax {
    public Nested {
      require(codes, DType.U8);
      require(absmax, DType.F32);
      require(map, DType.F32);
      if (map.count() != 256 || absmax.count() != (codes.count() + blockSize - 1) / blockSize) {
        throw new IllegalArgumentException(
            "nested scales of "
                + codes.count()
                + " codes: map "
                + map.shape()
                + ", absmax "
                + absmax.shape());
      }
    }

    @Override
    public long count() {
      return codes.count();
    }

    @Override
    public long byteSize() {
      return codes.byteSize() + absmax.byteSize() + map.byteSize();
    }
  }

  private static void require(Tensor tensor, DType dtype) {
    if (tensor.dtype() != dtype) {
      throw new IllegalArgumentException(
          "scales of type " + tensor.dtype() + ", expected " + dtype);
    }
  }
}
