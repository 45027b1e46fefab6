package dev.gatun.nn;

import dev.gatun.model.ModelConfig;
import dev.gatun.op.AttentionOps;
import dev.gatun.op.AttentionOps.Sequences;
import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.Tensor;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/// What the decoder layers need to know about the tokens of a pass, in the backend's memory.
///
/// @param count `T`
/// @param ids I32 `[T]`
/// @param ropeRows I32 `[T]`: each token's row in `cos` and `sin`
/// @param cos F32 `[P, rotary/2]`
/// @param sin F32 `[P, rotary/2]`
/// @param places I32 `[T]`: where each token's gradient goes if single rows of the embedding are
///   trained, see [TokenRows#places]; else null
record Tokens(
    int count,
    Tensor ids,
    Tensor ropeRows,
    Tensor cos,
    Tensor sin,
    Sequences sequences,
    @Nullable Tensor places) {

  /// Tokens of a model that trains no single rows.
  Tokens(int count, Tensor ids, Tensor ropeRows, Tensor cos, Tensor sin, Sequences sequences) {
    this(count, ids, ropeRows, cos, sin, sequences, null);
  }

  /// The same with places of gradients.
  Tokens withPlaces(@Nullable Tensor other) {
    return new Tokens(count, ids, ropeRows, cos, sin, sequences, other);
  }

  /// These tokens with the attention of all layers planned, in `arena`.
  ///
  /// @param training whether there are backward passes, in which no key comes from a cache
  Tokens planned(Backend backend, TensorArena arena, ModelConfig config, boolean training) {
    TreeSet<Integer> windows = new TreeSet<>();
    config.layers().forEach(layer -> windows.add(layer.window()));
    AttentionOps.Passes passes =
        new AttentionOps.Passes(count, count, config.headSize(), windows, training);
    return new Tokens(
        count, ids, ropeRows, cos, sin, backend.attention().plan(sequences, passes, arena), places);
  }
}
