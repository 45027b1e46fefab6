package dev.gatun.optim;

import dev.gatun.tensor.Tensor;
import java.util.Map;

/// Tensors of a saved optimiser state.
final class StoredState {
  private StoredState() {}

  /// The saved tensor of that name, of the type and shape that the state has here.
  ///
  /// @throws IllegalArgumentException if it is missing or differs
  static Tensor require(Map<String, Tensor> state, String name, Tensor target) {
    Tensor value = state.get(name);
    if (value == null || value.dtype() != target.dtype() || !value.shape().equals(target.shape())) {
      throw new IllegalArgumentException(
          "optimiser state %s: %s, expected %s %s"
              .formatted(
                  name,
                  value == null ? "missing" : value.dtype() + " " + value.shape(),
                  target.dtype(),
                  target.shape()));
    }
    return value;
  }
}
