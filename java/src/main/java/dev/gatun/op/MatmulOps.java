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
  /// @param ys `[T, out_i]` each, activation type, may be strided
  /// @param loraInner receives `dropout_i(x)·A_iᵀ`, `[T, R_i]` activation type, for backward; null
  ///   entries where there is no update, or where the caller needs no backward pass
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

  /// `inner[i] = dropout_i(x)·A_iᵀ` alone, bitwise as [#forward] computes it: what backward needs
  /// of an update whose forward pass did not keep it.
  ///
  /// @param inner `[T, R_i]` activation type; null entries are skipped
  void loraInner(
      List<@Nullable Tensor> inner, Tensor x, List<Projection> projections, TensorArena scratch);

  /// Gradients of [#forward]. `dx = Σ_i dy_i·dq(W_i) + s_i·dropout_i((dy_i·B_i)·A_i)`; `dW_i +=
  /// dy_iᵀ·x`; `dbias_i += Σ_t dy_i`; `dB_i += s_i·dy_iᵀ·(dropout_i(x)·A_iᵀ)`; `dA_i +=
  /// s_i·(dy_i·B_i)ᵀ·dropout_i(x)`.
  ///
  /// @param dx `[T, in]` activation type; null where nothing below is trained
  /// @param accumulate whether `dx` is replaced or added to
  /// @param x not read where `gradients` are all frozen
  /// @param loraInner what forward saved; an entry whose A and B are frozen may be null
  void backward(
      @Nullable Tensor dx,
      Accumulate accumulate,
      List<Tensor> dys,
      Tensor x,
      List<@Nullable Tensor> loraInner,
      List<Projection> projections,
      List<Projection.Gradients> gradients,
      TensorArena scratch);

  /// `logits = x·Wᵀ (+ bias)`, written as F32 `[T, out]`: the output head when tokens are sampled.
  void logits(Tensor logits, Tensor x, Weight head, @Nullable Tensor bias, TensorArena scratch);

  /// Scratch bytes that [#forward], [#loraInner], [#backward] and [#logits] need at most for `rows`
  /// rows of these projections.
  long scratchBytes(long rows, List<Projection> projections);
}
