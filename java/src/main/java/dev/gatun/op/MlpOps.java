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
