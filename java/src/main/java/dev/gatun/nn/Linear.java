package dev.gatun.nn;

import dev.gatun.op.Projection;
import dev.gatun.quant.Weight;
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
    return inference.rank();
  }

  /// The same layer with another form of its weight; not for a decomposed one, which holds its own.
  Linear with(Weight weight) {
    return new Linear(
        path,
        new Projection(weight, training.bias(), training.lora()),
        new Projection(weight, inference.bias(), inference.lora()),
        gradients,
        dora);
  }
}
