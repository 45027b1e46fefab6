package dev.gatun.kernels;

import dev.gatun.tensor.DType;

/// A low-rank update `scale · (x·Aᵀ)·Bᵀ`.
///
/// @param a BF16 `[R, in]`
/// @param b BF16 `[out, R]`
/// @param scale `alpha / r`, or `alpha / sqrt(r)` with rsLoRA
public record Lora(Matrix a, Matrix b, float scale) {
  public Lora {
    Require.type("A", a, DType.BF16);
    Require.shape("B", b, DType.BF16, b.rows(), a.rows());
  }

  /// `R`.
  public long rank() {
    return a.rows();
  }
}
