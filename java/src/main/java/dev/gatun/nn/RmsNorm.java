package dev.gatun.nn;

import dev.gatun.op.Normalized;
import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// Root-mean-square normalisation with its weight.
///
/// @param weight `[n]`
/// @param gradient F32 `[n]`, or null if frozen
record RmsNorm(Tensor weight, @Nullable Tensor gradient, float epsilon, float offset) {

  boolean isTrained() {
    return gradient != null;
  }

  /// @param y may be `x`
  void forward(Tensor y, @Nullable Tensor rstd, Tensor x, Pass pass) {
    pass.backend().norm().forward(y, rstd, x, weight, epsilon, offset);
  }

  /// What [#forward] makes of `x`, without making it.
  Normalized of(Tensor x, Tensor rstd) {
    return new Normalized(x, rstd, weight, offset);
  }

  /// @param dx may be `dy` or `residual`
  void backward(Tensor dx, Tensor dy, @Nullable Tensor residual, Tensor x, Tensor rstd, Pass pass) {
    pass.backend()
        .norm()
        .backward(dx, gradient, dy, residual, x, weight, rstd, offset, pass.arena());
  }
}
