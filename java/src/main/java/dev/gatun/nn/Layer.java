package dev.gatun.nn;

import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// A part of the residual stream, with its derivative written by hand.
///
/// @param <S> a record of what forward must remember for backward; its tensors lie in the pass's
///   arena
interface Layer<S extends Record> {
  /// Computes `y` from `x`, both `[T, H]`. Everything in the result is allocated first, transients
  /// above it are released before returning.
  ///
  /// @param y may be `x` if backward is never asked for; null to compute only what backward needs
  S forward(@Nullable Tensor y, Tensor x, Pass pass);

  /// Adds the gradients of the layer's parameters. Consumes `saved`: its tensors may be
  /// overwritten.
  ///
  /// @param gradient `[T, H]`: `dy`, and on return `dx` in the same place
  /// @param inputNeeded whether `dx` is wanted; if not, `gradient` is left undefined
  void backward(Tensor gradient, boolean inputNeeded, S saved, Pass pass);

  /// Whether the layer has parameters that are trained.
  boolean isTrained();
}
