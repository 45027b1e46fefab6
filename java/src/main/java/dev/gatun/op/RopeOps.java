package dev.gatun.op;

import dev.gatun.tensor.Tensor;

/// Rotary position embedding in Llama's layout: element `i` turns with element `i + rotary/2`.
public interface RopeOps {
  /// Rotates the first `2·cols(cos)` elements of every head, in place; with `inverse`, by the
  /// negated angle (the backward pass).
  ///
  /// @param x `[T, heads, D]`, may be strided
  /// @param rows I32 `[T]`: the row of the tables for each token (its position, unless the scaling
  ///   is dynamic)
  /// @param cos F32 `[P, rotary/2]`, attention scaling included
  /// @param sin F32 `[P, rotary/2]`
  void apply(Tensor x, Tensor rows, Tensor cos, Tensor sin, boolean inverse);
}
