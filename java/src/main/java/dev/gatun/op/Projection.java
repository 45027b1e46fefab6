package dev.gatun.op;

import dev.gatun.quant.Weight;
import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// One linear layer as the backend sees it: `y = x·Wᵀ + bias + scale·(dropout(x)·Aᵀ)·Bᵀ`.
///
/// @param weight `[out, in]`
/// @param bias `[out]` of the activation type or F32, or null
/// @param lora the low-rank update, or null
public record Projection(Weight weight, @Nullable Tensor bias, @Nullable Lora lora) {
  /// A low-rank update.
  ///
  /// @param a `[R, in]` compute copy
  /// @param b `[out, R]` compute copy
  /// @param scale `alpha / r`, or `alpha / sqrt(r)` with rsLoRA
  /// @param dropout what happens to `x` before A, or null
  public record Lora(Tensor a, Tensor b, float scale, @Nullable Dropout dropout) {
    public int rank() {
      return Math.toIntExact(a.rows());
    }
  }

  /// Where backward adds the gradients of one projection; a null field is frozen. All F32, shaped
  /// as the parameter.
  public record Gradients(
      @Nullable Tensor weight, @Nullable Tensor bias, @Nullable Tensor a, @Nullable Tensor b) {
    /// Everything frozen.
    public static final Gradients NONE = new Gradients(null, null, null, null);
  }
}
