package dev.gatun.op;

import dev.gatun.tensor.Tensor;

/// What a low-rank update adds to a product whose input it has seen: `scale·inner·Bᵀ`.
///
/// @param inner `[T, R]` activation type
/// @param b `[out, R]` compute copy
public record LowRankTerm(Tensor inner, Tensor b, float scale) {
  public int rank() {
    return Math.toIntExact(b.cols());
  }
}
