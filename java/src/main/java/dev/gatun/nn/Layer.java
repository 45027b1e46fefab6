package dev.gatun.nn;

import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// A part of the residual stream, with its derivative written by hand.
///
/// @param <S> a record of what forward must remember for backward, input included; whoever runs the
///   layer allocates its tensors and decides how long they live
interface Layer<S extends Record> {
  /// Computes `y`, `[T, H]`, and fills what `saved` holds beside the input. Transients are released
  /// before returning.
  ///
  /// @param y may be the input if backward is never asked for; null to compute only what backward
  ///   needs
  void forward(@Nullable Tensor y, S saved, Pass pass);

  /// Adds the gradients of the layer's parameters. Consumes `saved`: its tensors may be
  /// overwritten.
  ///
  /// @param gradient `[T, H]`: `dy`, and on return `dx` in the same place
  /// @param inputNeeded whether `dx` is wanted; if not, `gradient` is left undefined
  void backward(Tensor gradient, boolean inputNeeded, S saved, Pass pass);

  /// Whether the layer has parameters that are trained.
  boolean isTrained();
}
