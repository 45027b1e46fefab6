package dev.gatun.quant;

import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// A linear layer's weight `[out, in]`, in one of the formats a backend multiplies with. This is
/// the one place where quantisation is visible: a new format is one record here and one arm in each
/// backend's `MatmulOps`.
public sealed interface Weight {
  /// Output features.
  long out();

  /// Input features.
  long in();

  /// Bytes the weight occupies, scales included.
  long byteSize();

  /// An unquantised matrix `[out, in]`: F32, BF16 or F16.
  record Dense(Tensor tensor) implements Weight {
    public Dense {
      if (tensor.shape().rank() != 2 || !tensor.dtype().isFloating()) {
        throw new IllegalArgumentException(
            "a dense weight is a floating matrix, not " + tensor.dtype() + " " + tensor.shape());
      }
    }

    @Override
    public long out() {
      return tensor.shape().dim(0);
    }

    @Override
    public long in() {
      return tensor.shape().dim(1);
    }

    @Override
    public long byteSize() {
      return tensor.byteSize();
    }
  }

  /// 4-bit NormalFloat as bitsandbytes stores it: blocks run over the flattened row-major matrix,
  /// the last block may be short, and of two neighbouring elements the even one sits in the high
  /// nibble.
  ///
  /// @param packed U8 `[ceil(out*in/2)]`
  /// @param absmax one scale for each block of `blockSize` elements
  /// @param sourceType dtype of the matrix that was quantised; dequantisation to 16 bit rounds to
  ///   it
  /// @param decoded the same values ready to be multiplied, kept where memory is free, or null; a
  ///   backend may use either
  record Nf4(
      Tensor packed,
      Absmax absmax,
      long out,
      long in,
      int blockSize,
      DType sourceType,
      @Nullable Decoded decoded)
      implements Weight {
    /// A weight that is decoded whenever it is needed.
    public Nf4(Tensor packed, Absmax absmax, long out, long in, int blockSize, DType sourceType) {
      this(packed, absmax, out, in, blockSize, sourceType, null);
    }

    public Nf4 {
      if (packed.dtype() != DType.U8 || packed.count() != (out * in + 1) / 2) {
        throw new IllegalArgumentException(
            "NF4 weight "
                + Shape.of(out, in)
                + " does not fit its packed tensor "
                + packed.dtype()
                + " "
                + packed.shape());
      }
      if (absmax.count() != blockCount(out * in, blockSize)) {
        throw new IllegalArgumentException(
            "NF4 weight "
                + Shape.of(out, in)
                + " has "
                + absmax.count()
                + " scales for blocks of "
                + blockSize);
      }
    }

    /// The packed weight alone.
    @Override
    public long byteSize() {
      return packed.byteSize() + absmax.byteSize();
    }

    /// The same weight with its decoded values.
    public Nf4 with(Decoded values) {
      return new Nf4(packed, absmax, out, in, blockSize, sourceType, values);
    }

    /// Number of blocks of `blockSize` that cover `count` elements.
    public static long blockCount(long count, int blockSize) {
      return (count + blockSize - 1) / blockSize;
    }
  }

  /// Decoded values of a weight, as rows of a matrix that holds those of every weight with the same
  /// input below each other, with columns to the right and rows below for the factors of low-rank
  /// updates.
  ///
  /// @param operand BF16 `[at least Σ (out + R), at least in + Σ R]`
  /// @param firstRow of this weight
  record Decoded(Tensor operand, long firstRow) {
    /// The values of a weight of these sizes.
    public Tensor values(long out, long in) {
      return operand.rows(firstRow, out).columns(0, in);
    }
  }
}
