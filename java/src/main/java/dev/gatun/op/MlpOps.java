package dev.gatun.op;

import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// Gated activations between the projections of a feed-forward block.
public interface MlpOps {
  /// `h = act(gate)·up`.
  ///
  /// @param h `[T, F]`; may be `gate` or `up`
  void forward(Tensor h, Tensor gate, Tensor up, Activation activation);

  /// `dgate = dh·up·act'(gate)`, `dup = dh·act(gate)`; also writes `h` again when asked, so that
  /// forward need not keep it.
  ///
  /// @param dgate may be `gate`
  /// @param dup may be `up`
  /// @param h receives `act(gate)·up`, or null; may be `dh`
  void backward(
      Tensor dgate,
      Tensor dup,
      @Nullable Tensor h,
      Tensor dh,
      Tensor gate,
      Tensor up,
      Activation activation);

  /// `gate` and `up` become [#backward]'s `dgate` and `dup`, and the narrow products of the updates
  /// around them are computed in the same pass; `h` is not made. Returns false, having done
  /// nothing, where the backend has no such pass for these operands.
  ///
  /// @param scratch see [#updatesScratchBytes]
  default boolean backwardWithUpdates(
      Tensor gate,
      Tensor up,
      Tensor dh,
      Activation activation,
      GatedUpdates updates,
      TensorArena scratch) {
    return false;
  }

  /// Scratch bytes that [#backwardWithUpdates] needs at most.
  default long updatesScratchBytes(long rows, long cols, long rank) {
    return 0;
  }

  /// The gate's nonlinearity.
  enum Activation {
    /// `x·sigmoid(x)`.
    SILU,
    /// `0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))`.
    GELU_TANH,
    /// `0.5·x·(1 + erf(x/√2))`.
    GELU
  }
}
