package dev.gatun.kernels;

/// The weight of a linear layer `[out, in]`: dense BF16, or 4 bits.
public sealed interface WeightMatrix permits Matrix, Nf4Matrix {
  /// Output features.
  long out();

  /// Input features.
  long in();
}
