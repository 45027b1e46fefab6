package dev.gatun.op;

import dev.gatun.tensor.Tensor;

/// Causal attention over packed sequences of different lengths, with grouped key/value heads.
///
/// Query `j` of a sequence with `n` queries and `m ≥ n` keys sees keys `0 … m−n+j`, or with a
/// window only the last `window` of them, itself included. Nothing is seen across sequences.
public interface AttentionOps {
  /// `out = softmax(mask(cap(scale·q·kᵀ)))·v`, softmax in F32.
  ///
  /// @param out `[T, N, D]`
  /// @param logSumExp F32 `[T, N]`, of the scaled, capped and masked scores
  /// @param q `[T, N, D]`, may be strided
  /// @param k `[rows, K, D]`, may be strided; `N` is a multiple of `K`
  /// @param v `[rows, K, D]`, may be strided
  void forward(
      Tensor out,
      Tensor logSumExp,
      Tensor q,
      Tensor k,
      Tensor v,
      Sequences sequences,
      Config config,
      TensorArena scratch);

  /// Gradients of [#forward]; deterministic. `dq`, `dk`, `dv` are replaced, may be strided, and
  /// alias nothing.
  void backward(
      Tensor dq,
      Tensor dk,
      Tensor dv,
      Tensor dout,
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor out,
      Tensor logSumExp,
      Sequences sequences,
      Config config,
      TensorArena scratch);

  /// Scratch bytes that either direction needs at most.
  long scratchBytes(long tokens, int heads, int keyValueHeads, int headSize);

  /// Where each sequence's rows are. For training `keyStart` repeats `queryStart`; with a key/value
  /// cache they differ.
  ///
  /// @param queryStart I32 `[S+1]`: first query row of each sequence, then the total
  /// @param keyStart I32 `[S]`: first key row of each sequence
  /// @param keyLength I32 `[S]`: number of keys of each sequence
  /// @param count `S`
  /// @param longestQuery an upper bound, for the launch geometry
  /// @param longestKey an upper bound
  record Sequences(
      Tensor queryStart,
      Tensor keyStart,
      Tensor keyLength,
      int count,
      int longestQuery,
      int longestKey) {}

  /// How scores are formed.
  ///
  /// @param scale factor of the scores, usually `1/sqrt(D)`
  /// @param window keys a query sees, itself included; 0 for all
  /// @param softcap `c·tanh(score/c)` is applied to the scaled scores; 0 for none
  record Config(float scale, int window, float softcap) {}
}
