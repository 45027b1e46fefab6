package dev.gatun.kernels;

import dev.gatun.tensor.DType;
import org.jspecify.annotations.Nullable;

/// One linear layer: `y = x·dq(W)ᵀ + bias + residual + scale·(x·Aᵀ)·Bᵀ`.
///
/// @param y BF16 `[T, out]`, written
/// @param x BF16 `[T, in]`
/// @param bias BF16 or F32 `[out]`, or null
/// @param residual BF16 `[T, out]`, may be `y` itself, or null
/// @param lora null for none
/// @param loraInner BF16 `[T, R]`, receives `x·Aᵀ` for the gradient of B; null where no backward
///   pass follows
public record Linear(
    Matrix y,
    Matrix x,
    WeightMatrix weight,
    @Nullable Vector bias,
    @Nullable Matrix residual,
    @Nullable Lora lora,
    @Nullable Matrix loraInner) {
  public Linear {
    Require.shape("x", x, DType.BF16, x.rows(), weight.in());
    Require.shape("y", y, DType.BF16, x.rows(), weight.out());
    Require.weight(weight);
    if (bias != null) {
      Require.count("bias", bias, bias.dtype(), weight.out());
    }
    if (residual != null) {
      Require.shape("residual", residual, DType.BF16, x.rows(), weight.out());
    }
    if (lora != null) {
      Require.shape("A", lora.a(), DType.BF16, lora.rank(), weight.in());
      Require.shape("B", lora.b(), DType.BF16, weight.out(), lora.rank());
    }
    if (loraInner != null) {
      Require.shape("loraInner", loraInner, DType.BF16, x.rows(), lora == null ? 0 : lora.rank());
    }
  }

  /// `y = x·dq(W)ᵀ`.
  public Linear(Matrix y, Matrix x, WeightMatrix weight) {
    this(y, x, weight, null, null, null, null);
  }

  public Linear withBias(Vector vector) {
    return new Linear(y, x, weight, vector, residual, lora, loraInner);
  }

  public Linear withResidual(Matrix added) {
    return new Linear(y, x, weight, bias, added, lora, loraInner);
  }

  /// With a low-rank update whose gradients nobody asks for.
  public Linear withLora(Lora update) {
    return new Linear(y, x, weight, bias, residual, update, null);
  }

  /// With a low-rank update that is trained.
  public Linear withLora(Lora update, Matrix inner) {
    return new Linear(y, x, weight, bias, residual, update, inner);
  }
}
