package dev.gatun.nn;

import dev.gatun.op.Projection;
import org.jspecify.annotations.Nullable;

/// A linear layer with its low-rank update, if it has one.
///
/// @param path module path
/// @param training with dropout
/// @param inference without
/// @param gradients where backward adds to
/// @param dora how the update is applied where it is weight-decomposed, else null
record Linear(
    String path,
    Projection training,
    Projection inference,
    Projection.Gradients gradients,
    @Nullable DoraLinear dora) {

  long out() {
    return inference.weight().out();
  }

  long in() {
    return inference.weight().in();
  }

  boolean isTrained() {
    return isUpdateTrained() || gradients.weight() != null || gradients.bias() != null;
  }

  /// Whether A and B are trained.
  boolean isUpdateTrained() {
    return gradients.a() != null;
  }

  int rank() {
    Projection.Lora lora = inference.lora();
    return lora == null ? 0 : lora.rank();
  }
}
