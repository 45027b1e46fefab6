package dev.gatun.nn;

import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// A decoder layer: attention, then feed-forward, each added to the residual stream.
final class DecoderLayer implements Layer<DecoderLayer.Saved> {
  record Saved(Attention.Saved attention, Mlp.Saved mlp) {}

  private final Attention attention;
  private final Mlp mlp;

  DecoderLayer(Attention attention, Mlp mlp) {
    this.attention = attention;
    this.mlp = mlp;
  }

  @Override
  public boolean isTrained() {
    return attention.isTrained() || mlp.isTrained();
  }

  /// Columns that products want behind the gradient of the residual stream.
  long gradientRoom() {
    return Math.max(attention.gradientRoom(), mlp.gradientRoom());
  }

  /// Room for what only a whole forward pass knows and backward needs; small.
  LinearGroup.Inner allocateInner(Pass pass) {
    return mlp.allocateInner(pass);
  }

  @Override
  public Saved forward(@Nullable Tensor y, Tensor x, Pass pass) {
    return forward(y, x, allocateInner(pass), pass);
  }

  /// @param inner filled if `y` is computed, else what the pass that did so left
  Saved forward(@Nullable Tensor y, Tensor x, LinearGroup.Inner inner, Pass pass) {
    Tensor middle = x.equals(y) ? x : pass.activation(pass.tokenCount(), x.cols());
    Attention.Saved first = attention.forward(middle, x, pass);
    return new Saved(first, mlp.forward(y, middle, inner, pass));
  }

  @Override
  public void backward(Tensor gradient, boolean inputNeeded, Saved saved, Pass pass) {
    boolean below = inputNeeded || attention.isTrained();
    mlp.backward(gradient, below, saved.mlp(), pass);
    if (below) {
      attention.backward(gradient, inputNeeded, saved.attention(), pass);
    }
  }
}
