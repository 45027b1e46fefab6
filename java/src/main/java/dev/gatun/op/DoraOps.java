package dev.gatun.op;

import dev.gatun.quant.Weight;
import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// What weight-decomposed low-rank updates need beside [MatmulOps] (DoRA: Liu et al., 2024): a
/// layer whose weight is `m ⊙ (W + s·B·A) / ‖W + s·B·A‖`, one magnitude and one norm for each
/// output feature.
public interface DoraOps {
  /// `inverse[o] = 1 / ‖dq(W)[o] + s·B[o]·A‖₂`; 0 where the norm is 0.
  ///
  /// @param inverse F32 `[out]`
  /// @param lora its dropout is ignored
  void inverseNorms(Tensor inverse, Weight weight, Projection.Lora lora, TensorArena scratch);

  /// `y = (residual) + (bias) + (magnitude·inverse) ⊙ z`.
  ///
  /// @param y `[T, out]` activation type, may be strided; may be `z` or `residual`
  /// @param residual `[T, out]`, or null
  /// @param bias `[out]` of the activation type or F32, or null
  /// @param z `[T, out]` activation type, may be strided
  /// @param magnitude F32 `[out]`
  /// @param inverse F32 `[out]`
  void scale(
      Tensor y,
      @Nullable Tensor residual,
      @Nullable Tensor bias,
      Tensor z,
      Tensor magnitude,
      Tensor inverse);

  /// `dmagnitude[o] += inverse[o]·Σ_t dy[t, o]·z[t, o]`, in a fixed order. The norm is a constant,
  /// as in the paper.
  ///
  /// @param dmagnitude F32 `[out]`
  void magnitudeGradient(
      Tensor dmagnitude, Tensor dy, Tensor z, Tensor inverse, TensorArena scratch);

  /// Scratch bytes that [#inverseNorms] needs at most.
  long scratchBytes(Weight weight);

  /// Scratch bytes that [#magnitudeGradient] needs at most for `out` features.
  long gradientScratchBytes(long out);
}
