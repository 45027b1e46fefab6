package dev.gatun.nn;

import dev.gatun.model.ModelConfig;
import dev.gatun.op.AttentionOps;
import dev.gatun.op.AttentionOps.Sequences;
import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.Tensor;
import java.util.TreeSet;

/// What the decoder layers need to know about the tokens of a pass, in the backend's memory.
///
/// @param count `T`
/// @param ids I32 `[T]`
/// @param ropeRows I32 `[T]`: each token's row in `cos` and `sin`
/// @param cos F32 `[P, rotary/2]`
/// @param sin F32 `[P, rotary/2]`
record Tokens(int count, Tensor ids, Tensor ropeRows, Tensor cos, Tensor sin, Sequences sequences) {

  /// These tokens with the attention of all layers planned, in `arena`.
  ///
  /// @param training whether there are backward passes, in which no key comes from a cache
  Tokens planned(Backend backend, TensorArena arena, ModelConfig config, boolean training) {
    TreeSet<Integer> windows = new TreeSet<>();
    config.layers().forEach(layer -> windows.add(layer.window()));
    AttentionOps.Passes passes =
        new AttentionOps.Passes(count, count, config.headSize(), windows, training);
    return new Tokens(
        count, ids, ropeRows, cos, sin, backend.attention().plan(sequences, passes, arena));
  }
}
