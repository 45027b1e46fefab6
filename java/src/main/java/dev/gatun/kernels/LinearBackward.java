package dev.gatun.kernels;

import dev.gatun.op.Accumulate;
import dev.gatun.tensor.DType;
import org.jspecify.annotations.Nullable;

/// The gradients of a [Linear]: `dx (+)= dy·dq(W) + scale·(dy·B)·A`, `dA += scale·(dy·B)ᵀ·x`, `dB
/// += scale·dyᵀ·(x·Aᵀ)`, `dW += dyᵀ·x`, `dbias += Σ_t dy`.
///
/// @param forward the layer as it ran; its `y` and residual are not read
/// @param dy BF16 `[T, out]`
/// @param dx BF16 `[T, in]`, or null
/// @param accumulate whether `dx` is replaced or added to
public record LinearBackward(
    Linear forward, Matrix dy, @Nullable Matrix dx, Accumulate accumulate, Gradients gradients) {

  /// F32, shaped as the parameter, added to; null where it is frozen.
  public record Gradients(
      @Nullable Matrix weight, @Nullable Vector bias, @Nullable Matrix a, @Nullable Matrix b) {
    public static final Gradients NONE = new Gradients(null, null, null, null);
  }

  public LinearBackward {
    long rows = forward.x().rows();
    WeightMatrix w = forward.weight();
    Require.shape("dy", dy, DType.BF16, rows, w.out());
    if (dx != null) {
      Require.shape("dx", dx, DType.BF16, rows, w.in());
    }
    if (gradients.weight() != null) {
      Require.shape("dW", gradients.weight(), DType.F32, w.out(), w.in());
    }
    if (gradients.bias() != null) {
      Require.count("dbias", gradients.bias(), DType.F32, w.out());
    }
    Lora lora = forward.lora();
    long rank = lora == null ? 0 : lora.rank();
    if (gradients.a() != null) {
      Require.shape("dA", gradients.a(), DType.F32, rank, w.in());
    }
    if (gradients.b() != null) {
      Require.shape("dB", gradients.b(), DType.F32, w.out(), rank);
      if (forward.loraInner() == null) {
        throw new IllegalArgumentException(
            "the gradient of B needs what forward keeps: give the layer a loraInner");
      }
    }
  }

  /// Nothing yet: add [#withDx] and [#withLora].
  public LinearBackward(Linear forward, Matrix dy) {
    this(forward, dy, null, Accumulate.REPLACE, Gradients.NONE);
  }

  /// With the gradient of the input, which is replaced.
  public LinearBackward withDx(Matrix target) {
    return new LinearBackward(forward, dy, target, accumulate, gradients);
  }

  /// With the gradients of the low-rank update, which are added to.
  public LinearBackward withLora(Matrix da, Matrix db) {
    return new LinearBackward(
        forward, dy, dx, accumulate, new Gradients(gradients.weight(), gradients.bias(), da, db));
  }
}
