package dev.gatun.nn;

import dev.gatun.nn.LayerCheckpoint.Extent;
import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// A decoder layer: attention, then feed-forward, each added to the residual stream.
final class DecoderLayer implements Layer<DecoderLayer.Saved> {
  /// @param inner of the last product, which only a whole forward pass computes
  record Saved(Tensor x, LinearGroup.Inner inner, Parts.All parts) {}

  /// What a layer makes between its input and its output, as far as it is kept: an [Extent] with
  /// its tensors.
  sealed interface Parts {
    /// Nothing.
    record None() implements Parts {}

    /// @param middle input of the second half
    record Attended(Attention.Attended attention, Tensor middle) implements Parts {}

    record Projected(Attended attended, Attention.Projected projections) implements Parts {}

    record All(Projected projected, Mlp.Expanded expanded) implements Parts {}
  }

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

  /// Room for what `extent` keeps beside the input.
  ///
  /// @param hidden elements of the residual stream
  Parts allocate(Extent extent, long hidden, Pass pass) {
    return switch (extent) {
      case INPUT -> new Parts.None();
      case ATTENTION -> attended(hidden, pass);
      case PROJECTIONS -> projected(attended(hidden, pass), pass);
      case ALL -> all(projected(attended(hidden, pass), pass), pass);
    };
  }

  /// The same parts, with room for those that are missing.
  Parts.All complete(Parts parts, long hidden, Pass pass) {
    return switch (parts) {
      case Parts.None() -> all(projected(attended(hidden, pass), pass), pass);
      case Parts.Attended attended -> all(projected(attended, pass), pass);
      case Parts.Projected projected -> all(projected, pass);
      case Parts.All all -> all;
    };
  }

  private Parts.Attended attended(long hidden, Pass pass) {
    Tensor middle = pass.activation(pass.tokenCount(), hidden);
    return new Parts.Attended(attention.allocateAttended(pass), middle);
  }

  private Parts.Projected projected(Parts.Attended attended, Pass pass) {
    return new Parts.Projected(attended, attention.allocateProjected(pass));
  }

  private Parts.All all(Parts.Projected projected, Pass pass) {
    return new Parts.All(projected, mlp.allocateExpanded(pass));
  }

  /// Runs in place, for passes that no backward follows.
  void infer(Tensor x, Pass pass) {
    long mark = pass.arena().mark();
    Attention.Projected projected = attention.allocateProjected(pass);
    Attention.Attended attended = attention.allocateAttended(pass);
    attention.forward(x, new Attention.Saved(x, projected, attended), pass);
    pass.arena().release(mark);
    mlp.forward(x, new Mlp.Saved(x, mlp.allocateExpanded(pass), mlp.allocateInner(pass)), pass);
    pass.arena().release(mark);
  }

  @Override
  public void forward(@Nullable Tensor y, Saved saved, Pass pass) {
    Mlp.Saved second = second(saved);
    attention.forward(second.x(), first(saved), pass);
    mlp.forward(y, second, pass);
  }

  /// Computes what backward needs and `kept` lacks, in memory that stays taken.
  Saved rebuild(Tensor x, LinearGroup.Inner inner, Parts kept, Pass pass) {
    Saved saved = new Saved(x, inner, complete(kept, x.cols(), pass));
    switch (kept) {
      case Parts.None() -> forward(null, saved, pass);
      case Parts.Attended _ -> {
        attention.project(first(saved), pass);
        mlp.forward(null, second(saved), pass);
      }
      case Parts.Projected _ -> mlp.forward(null, second(saved), pass);
      case Parts.All _ -> {
        // Nothing is missing.
      }
    }
    return saved;
  }

  @Override
  public void backward(Tensor gradient, boolean inputNeeded, Saved saved, Pass pass) {
    boolean below = inputNeeded || attention.isTrained();
    mlp.backward(gradient, below, second(saved), pass);
    if (below) {
      attention.backward(gradient, inputNeeded, first(saved), pass);
    }
  }

  private static Attention.Saved first(Saved saved) {
    Parts.Projected projected = saved.parts().projected();
    return new Attention.Saved(
        saved.x(), projected.projections(), projected.attended().attention());
  }

  private static Mlp.Saved second(Saved saved) {
    Tensor middle = saved.parts().projected().attended().middle();
    return new Mlp.Saved(middle, saved.parts().expanded(), saved.inner());
  }
}
