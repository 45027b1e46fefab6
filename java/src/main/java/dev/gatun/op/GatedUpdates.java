package dev.gatun.op;

import dev.gatun.tensor.Tensor;

/// Narrow operands and results of the low-rank updates around a gated activation, all of rank R and
/// without dropout: what their backward passes take from `dgate`, `dup` and `h`.
///
/// @param downInnerGradient `s·dy·B` of the down projection, `[T, R]`
/// @param downA F32 `[R, F]`, added to: the gradient of its A, `downInnerGradientᵀ·h`
public record GatedUpdates(Side gate, Side up, Tensor downInnerGradient, Tensor downA) {
  /// One of the projections before the activation.
  ///
  /// @param lora its update
  /// @param inner `x·Aᵀ` as forward saved it, `[T, R]`
  /// @param innerGradient receives `s·dy·B`, `[T, R]`
  /// @param b F32 `[F, R]`, added to: the gradient of B, `s·dyᵀ·inner`
  public record Side(Projection.Lora lora, Tensor inner, Tensor innerGradient, Tensor b) {}
}
