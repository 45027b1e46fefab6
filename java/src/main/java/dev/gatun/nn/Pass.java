package dev.gatun.nn;

import dev.gatun.op.AttentionOps.Sequences;
import dev.gatun.op.Backend;
import dev.gatun.op.PlanningArena;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.PlannedStorage;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// One forward or backward pass: where it runs, on which tokens, and how.
///
/// @param arena activations, and scratch above them
/// @param training whether dropout applies and layers keep what backward needs
/// @param cache keys and values of earlier tokens, or null
/// @param gradientRoom columns right behind the gradient of the residual stream, for products that
///   read it; null where none are needed
record Pass(
    Backend backend,
    TensorArena arena,
    Tokens tokens,
    boolean training,
    KvCache.@Nullable Step cache,
    Probe probe,
    @Nullable Tensor gradientRoom) {

  /// A training pass over tokens without content, in an arena that only counts: to size what layers
  /// keep.
  static Pass planned(Backend backend, int tokens) {
    Tensor ids = PlannedStorage.tensor(DType.I32, Shape.of(tokens));
    Sequences none = new Sequences(ids, ids, ids, 0, 0, 0);
    return new Pass(
        backend,
        new PlanningArena("kept"),
        new Tokens(tokens, ids, ids, ids, ids, none),
        true,
        null,
        Probe.NONE,
        null);
  }

  /// A tensor of the activation type, of unspecified content.
  Tensor activation(long... dims) {
    return arena.allocate(backend.activationType(), Shape.of(dims));
  }

  /// An F32 tensor of unspecified content.
  Tensor floats(long... dims) {
    return arena.allocate(DType.F32, Shape.of(dims));
  }

  /// The same pass with its memory elsewhere.
  Pass in(TensorArena other) {
    return new Pass(backend, other, tokens, training, cache, probe, gradientRoom);
  }

  /// The same pass with room behind its gradient.
  Pass withGradientRoom(Tensor room) {
    return new Pass(backend, arena, tokens, training, cache, probe, room);
  }

  /// Number of tokens, `T`.
  int tokenCount() {
    return tokens.count();
  }
}
