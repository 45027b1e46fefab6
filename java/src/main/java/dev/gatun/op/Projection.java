package dev.gatun.op;

import dev.gatun.quant.Weight;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// One linear layer as the backend sees it: `y = x·Wᵀ + bias + scale·(dropout(x)·Aᵀ)·Bᵀ`.
///
/// @param weight `[out, in]`
/// @param bias `[out]` of the activation type or F32, or null
/// @param lora the low-rank update, or null
public record Projection(Weight weight, @Nullable Tensor bias, @Nullable Lora lora) {
  private static final long LINE = 64; // elements of 16 bits in 128 bytes

  /// The matrix that holds the weights of projections with one input below each other, with room
  /// for the factors of their updates to the right and below: `[Σ (out + R), in + Σ R]`, its rows a
  /// whole number of 128-byte lines.
  public static Shape operandShape(List<Projection> projections) {
    long outs = 0;
    long ranks = 0;
    for (Projection projection : projections) {
      outs += projection.weight.out();
      ranks += projection.rank();
    }
    long columns = projections.getFirst().weight.in() + ranks;
    return Shape.of(outs + ranks, (columns + LINE - 1) / LINE * LINE);
  }

  /// Rank of the update, 0 without one.
  public int rank() {
    return lora == null ? 0 : lora.rank();
  }

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
