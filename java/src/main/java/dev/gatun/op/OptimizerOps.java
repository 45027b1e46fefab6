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

  /// bitsandbytes' AdamW with 8-bit moments: as [#adamW], with moments that are read from their
  /// codes and written back in blocks, each scaled by its own largest value. Follows the order of
  /// bitsandbytes' PyTorch backend: decay first, ε added to `sqrt(v)/sqrt(1−β2^t)`.
  ///
  /// @param m over a signed map
  /// @param v over an unsigned map
  void adamW8bit(
      Tensor parameter,
      Tensor gradient,
      Blockwise m,
      Blockwise v,
      @Nullable Tensor computeCopy,
      @Nullable Clip clip,
      AdamW step);

  /// Lion (Chen et al., 2023) as bitsandbytes has it: `p -= lr·wd·p; p -= lr·sign(β1·m + (1−β1)·g);
  /// m = β2·m + (1−β2)·g`. A NaN gradient makes the parameter NaN.
  void lion(
      Tensor parameter,
      Tensor gradient,
      Tensor m,
      @Nullable Tensor computeCopy,
      @Nullable Clip clip,
      Lion step);

  /// [#lion] with an 8-bit moment.
  ///
  /// @param m over a signed map
  void lion8bit(
      Tensor parameter,
      Tensor gradient,
      Blockwise m,
      @Nullable Tensor computeCopy,
      @Nullable Clip clip,
      Lion step);

  /// Adafactor (Shazeer and Stern, 2018) as transformers has it, without its own learning rates and
  /// momentum, for one parameter. Second moments of a matrix `[R, C]` are the means of its rows and
  /// columns: `r = β·r + (1−β)·mean_c(g²+ε); c = β·c + (1−β)·mean_r(g²+ε); u = g ·
  /// sqrt(mean(r)/(r·c))`; of a vector: `v = β·v + (1−β)(g²+ε); u = g/sqrt(v)`. Then `u /= max(1,
  /// rms(u)/threshold); p -= lr·wd·p; p -= lr·u`. Means and sums in a fixed order.
  ///
  /// @param parameter `[R, C]`, or `[C]`
  /// @param state F32
  void adafactor(
      Tensor parameter,
      Tensor gradient,
      SecondMoment state,
      @Nullable Tensor computeCopy,
      @Nullable Clip clip,
      Adafactor step,
      TensorArena scratch);

  /// Scratch bytes that [#adafactor] needs at most for a parameter `[rows, cols]`, or for a vector
  /// with `rows` 1.
  long adafactorScratchBytes(long rows, long cols);

  /// Adafactor's state of one parameter.
  sealed interface SecondMoment {
    /// `[R]` and `[C]` of a matrix.
    record Factored(Tensor rows, Tensor columns) implements SecondMoment {}

    /// `[C]` of a vector.
    record Whole(Tensor values) implements SecondMoment {}
  }

  /// A flat moment in 8 bits (Dettmers et al., "8-bit Optimizers via Block-wise Quantization",
  /// 2021): element `i` is `map[codes[i]] · absmax[i / 256]`. Starts as zeros. A value divided by
  /// its scale becomes the nearest entry of the map, the lower one if two are equally near.
  ///
  /// @param codes U8 `[n]`
  /// @param absmax F32 `[ceil(n/256)]`
  /// @param map F32 `[256]`, ascending
  record Blockwise(Tensor codes, Tensor absmax, Tensor map) {
    /// Elements that share a scale.
    public static final int BLOCK = 256;

    /// @throws IllegalArgumentException if the parts do not fit each other
    public Blockwise {
      if (absmax.count() != Math.ceilDiv(codes.count(), (long) BLOCK) || map.count() != 256) {
        throw new IllegalArgumentException(
            "%d codes, %d scales and a map of %d"
                .formatted(codes.count(), absmax.count(), map.count()));
      }
    }
  }

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

  /// The scalars of one Lion update.
  record Lion(double learningRate, double beta1, double beta2, double weightDecay) {}

  /// The scalars of one Adafactor update.
  ///
  /// @param decay β of this update: `1 − t^−0.8` for update t, counted from 1
  /// @param epsilon added to every squared gradient
  /// @param threshold largest root mean square of an update before the learning rate
  record Adafactor(
      double learningRate, double decay, double epsilon, double threshold, double weightDecay) {}
}
