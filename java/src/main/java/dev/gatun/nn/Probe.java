package dev.gatun.nn;

import dev.gatun.tensor.Tensor;

/// Sees the tensors of a forward pass as they are made. Training passes use [#NONE].
interface Probe {
  /// Looks at nothing.
  Probe NONE = (_, _, _) -> {};

  /// Looks at one tensor.
  ///
  /// @param place the module: `model.layers.3.self_attn`
  /// @param name which of its tensors
  void observe(String place, String name, Tensor tensor);
}
