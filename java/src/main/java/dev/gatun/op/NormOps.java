package dev.gatun.op;

import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// Root-mean-square normalisation over the last dimension.
public interface NormOps {
  /// `rstd = 1/sqrt(mean(x²) + eps)`, `y = x·rstd·(offset + w)`, the statistics in F32.
  ///
  /// @param y `[rows, n]` or `[T, heads, n]`; may be `x` itself
  /// @param rstd F32, one for each normalised vector; null if there is no backward pass
  /// @param weight `[n]`
  /// @param offset 0, or 1 for the Gemma convention
  void forward(
      Tensor y, @Nullable Tensor rstd, Tensor x, Tensor weight, float epsilon, float offset);

  /// `dx = (residual) + rstd·(g − x̂·mean(g·x̂))` with `g = dy·(offset + w)`, `x̂ = x·rstd`;
  /// `dweight += Σ dy·x̂`.
  ///
  /// @param dx may be `dy` or `residual`
  /// @param residual gradient that reaches `x` past the normalisation, or null
  /// @param dweight F32 `[n]`, or null if frozen
  void backward(
      Tensor dx,
      @Nullable Tensor dweight,
      Tensor dy,
      @Nullable Tensor residual,
      Tensor x,
      Tensor weight,
      Tensor rstd,
      float offset,
      TensorArena scratch);

  /// Scratch bytes that [#backward] needs at most for `rows` vectors of `n` elements.
  long scratchBytes(long rows, long n);
}
