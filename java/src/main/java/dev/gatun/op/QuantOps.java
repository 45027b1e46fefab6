package dev.gatun.op;

import dev.gatun.quant.Weight;
import dev.gatun.tensor.Tensor;

/// Block quantisation, bit-compatible with bitsandbytes.
public interface QuantOps {
  /// Quantises a matrix into a weight whose tensors the caller allocated (see [Nf4Layout]), the
  /// code book of nested scales included; with nested scales the offset is computed too, so the
  /// finished weight is returned (same tensors).
  ///
  /// @param destination its `Absmax` says whether scales are quantised again
  /// @param source `[out, in]`, contiguous
  /// @param scratch has room for one F32 a block
  Weight.Nf4 quantize(Weight.Nf4 destination, Tensor source, TensorArena scratch);

  /// `y = dq(weight)`: one F32 product per element, then one rounding to y's type.
  ///
  /// @param y `[out, in]` F32, BF16 or F16
  void dequantize(Tensor y, Weight weight);
}
