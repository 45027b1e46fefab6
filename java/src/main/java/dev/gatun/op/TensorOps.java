package dev.gatun.op;

import dev.gatun.tensor.Tensor;

/// Copies, fills and checks.
public interface TensorOps {
  /// Fills a tensor with zeros; only one of the activation type may be strided.
  void zero(Tensor tensor);

  /// `destination = source`, rounded to the destination's type; either may be strided.
  void copy(Tensor destination, Tensor source);

  /// `destination += source`; either may be strided.
  void add(Tensor destination, Tensor source);

  /// `destination −= source`; either may be strided.
  void subtract(Tensor destination, Tensor source);

  /// `y = dropout(x)`, with the mask that [MatmulOps] uses for the same `dropout`.
  ///
  /// @param y `[T, n]` activation type; may be `x`
  /// @param x `[T, n]` activation type; either may be strided
  void dropout(Tensor y, Tensor x, Dropout dropout);

  /// `flag[0] |= 1` if any element is NaN or infinite.
  ///
  /// @param flag I32 `[1]`
  void checkFinite(Tensor flag, Tensor tensor);

  /// NEFTune: adds `U(−magnitude, magnitude)` noise from the counter-based generator.
  ///
  /// @param noise its probability is ignored
  void addUniformNoise(Tensor tensor, float magnitude, Dropout noise);
}
