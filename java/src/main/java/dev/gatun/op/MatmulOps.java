package dev.gatun.op;

import dev.gatun.quant.Weight;
import dev.gatun.tensor.Tensor;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Linear layers over dense and 4-bit weights, with their low-rank updates. `T` is the number of
/// rows of `x`.
public interface MatmulOps {
  /// `ys[i] = (residual) + x·dq(W_i)ᵀ + bias_i + s_i·(dropout_i(x)·A_iᵀ)·B_iᵀ` for projections that
  /// share one input.
  ///
  /// A backend may compute the group in one product where the operands lie side by side: `ys` as
  /// columns of one buffer, in order, and `loraInner` in the columns right behind `x`.
  ///
  /// @param ys `[T, out_i]` each, activation type, may be strided
  /// @param loraInner receives `dropout_i(x)·A_iᵀ`, `[T, R_i]` activation type, for backward; null
  ///   entries only where there is no update
  /// @param x `[T, in]`, may be strided
  /// @param residual `[T, out]`, added to the only output (one projection); may be the output
  ///   itself
  void forward(
      List<Tensor> ys,
      List<@Nullable Tensor> loraInner,
      Tensor x,
      @Nullable Tensor residual,
      List<Projection> projections,
      TensorArena scratch);

  /// The gradients of [#forward] that `x` has no part in: `dx = Σ_i dy_i·dq(W_i) +
  /// dropout_i(innerGradient_i·A_i)` with `innerGradient_i = s_i·dy_i·B_i`; `dbias_i += Σ_t dy_i`;
  /// `dB_i += s_i·dy_iᵀ·(dropout_i(x)·A_iᵀ)`. [#weightGradients] has the others.
  ///
  /// A backend may compute `dx` in one product where `dys` are columns of one buffer, in order, and
  /// `innerGradients` lie in the columns right behind them.
  ///
  /// @param dx `[T, in]` activation type; null where nothing below is trained
  /// @param accumulate whether `dx` is replaced or added to
  /// @param loraInner what forward saved; an entry whose B is frozen may be null
  /// @param innerGradients receive `s_i·dy_i·B_i`, `[T, R_i]` activation type; null entries only
  ///   where there is no update
  void backward(
      @Nullable Tensor dx,
      Accumulate accumulate,
      List<Tensor> dys,
      List<@Nullable Tensor> loraInner,
      List<@Nullable Tensor> innerGradients,
      List<Projection> projections,
      List<Projection.Gradients> gradients,
      TensorArena scratch);

  /// `dx` of [#backward] alone, from inner gradients that are there already.
  ///
  /// @throws UnsupportedOperationException on backends without [MlpOps#backwardWithUpdates]
  default void inputGradient(
      Tensor dx,
      List<Tensor> dys,
      List<@Nullable Tensor> innerGradients,
      List<Projection> projections,
      TensorArena scratch) {
    throw new UnsupportedOperationException("inner gradients come from backward");
  }

  /// The gradients of [#forward] that need its input: `dW_i += dy_iᵀ·x` and `dA_i +=
  /// innerGradient_iᵀ·dropout_i(x)`.
  ///
  /// @param innerGradients what [#backward] left
  void weightGradients(
      List<Tensor> dys,
      List<@Nullable Tensor> innerGradients,
      Tensor x,
      List<Projection> projections,
      List<Projection.Gradients> gradients,
      TensorArena scratch);

  /// The same for an input that is a normalisation's output and was not kept. Returns false, having
  /// done nothing, where the backend wants the output itself.
  ///
  /// @param scratch as for [#weightGradients], and as much again as the input has bytes
  default boolean weightGradientsOfNormalized(
      List<@Nullable Tensor> innerGradients,
      Normalized x,
      List<Projection> projections,
      List<Projection.Gradients> gradients,
      TensorArena scratch) {
    return false;
  }

  /// `logits = x·Wᵀ (+ bias)`, written as F32 `[T, out]`: the output head when tokens are sampled.
  ///
  /// @param update added to it, or null
  void logits(
      Tensor logits,
      Tensor x,
      Weight head,
      @Nullable Tensor bias,
      @Nullable LowRankTerm update,
      TensorArena scratch);

  /// Whether products are faster with decoded values beside 4-bit weights, see [Weight.Decoded].
  default boolean usesDecoded() {
    return false;
  }

  /// Scratch bytes that any of the above needs at most for `rows` rows of these projections.
  long scratchBytes(long rows, List<Projection> projections);
}
