package dev.gatun.op;

import dev.gatun.tensor.Tensor;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Parameter updates over flat F32 buffers. Master parameters, gradients and moments are F32.
public interface OptimizerOps {
  /// `norm[0] = sqrt(Σ g²)` over all gradients, accumulated in at least F32 and in a fixed order.
  /// Non-finite gradients give a non-finite norm.
  ///
  /// @param norm F32 `[1]`
  void globalNorm(Tensor norm, List<Tensor> gradients, TensorArena scratch);

  /// Scratch bytes that [#globalNorm] needs at most for `count` elements in `tensors` tensors.
  long scratchBytes(long count, int tensors);

  /// PyTorch's AdamW: `p -= lr·wd·p; m = β1·m + (1−β1)·g; v = β2·v + (1−β2)·g²;` `p -= lr/(1−β1^t)
  /// · m / (sqrt(v)/sqrt(1−β2^t) + ε)`, with `g` first multiplied by the clip coefficient.
  ///
  /// @param computeCopy receives the new parameter rounded to its type, or null
  /// @param clip null for none
  void adamW(
      Tensor parameter,
      Tensor gradient,
      Tensor m,
      Tensor v,
      @Nullable Tensor computeCopy,
      @Nullable Clip clip,
      AdamW step);

  /// PyTorch's SGD with momentum and L2 weight decay: `g += wd·p; buf = first ? g : μ·buf + g; p -=
  /// lr·buf`.
  ///
  /// @param momentum buffer, null if the coefficient is 0
  void sgd(
      Tensor parameter,
      Tensor gradient,
      @Nullable Tensor momentum,
      @Nullable Tensor computeCopy,
      @Nullable Clip clip,
      Sgd step);

  /// `coefficient = min(1, maxNorm / (norm + 1e-6))`, computed where the norm is.
  ///
  /// @param norm F32 `[1]` from [#globalNorm]
  record Clip(Tensor norm, float maxNorm) {}

  /// The scalars of one AdamW update.
  ///
  /// @param step 1 for the first update
  record AdamW(
      double learningRate,
      double beta1,
      double beta2,
      double epsilon,
      double weightDecay,
      long step) {}

  /// The scalars of one SGD update.
  ///
  /// @param first whether the momentum buffer is still unset
  record Sgd(double learningRate, double momentum, double weightDecay, boolean first) {}
}
