package dev.gatun.op;

import dev.gatun.tensor.Tensor;
import java.util.SortedSet;
import org.jspecify.annotations.Nullable;

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

  /// Works out once what the passes of all layers over the same sequences have in common, such as
  /// the order in which blocks take their tiles. Changes no result: a pass that finds nothing for
  /// its head size and window in the plan works it out itself.
  ///
  /// The plan belongs to the sequences and lies in the caller's arena beside them, rather than in a
  /// cache of the backend's, because only their owner knows when they change: a batch uploaded over
  /// the last one has the same addresses and other contents, and a captured graph runs without
  /// asking a cache. The plan is made asynchronously, in the order of the backend's other work,
  /// from what the sequences' tensors hold then. Whoever writes to them plans again; at the same
  /// place in the arena, passes captured earlier find the new plan.
  ///
  /// @param arena keeps the plan, [#planBytes] of it
  /// @return the same sequences with the plan; valid as long as its place in the arena
  Sequences plan(Sequences sequences, Passes passes, TensorArena arena);

  /// Bytes of the plan for `sequences` sequences; grows with every argument.
  long planBytes(Passes passes, int sequences);

  /// The passes that a plan is for.
  ///
  /// @param queryRows an upper bound of the queries of all sequences
  /// @param keyRows an upper bound of the keys of all sequences
  /// @param windows of the layers, see [Config#window]
  /// @param backward whether there are backward passes
  record Passes(
      long queryRows, long keyRows, int headSize, SortedSet<Integer> windows, boolean backward) {}

  /// What a backend has worked out; of no use to anyone else.
  interface Plan {}

  /// Where each sequence's rows are. For training `keyStart` repeats `queryStart`; with a key/value
  /// cache they differ.
  ///
  /// @param queryStart I32 `[S+1]`: first query row of each sequence, then the total
  /// @param keyStart I32 `[S]`: first key row of each sequence
  /// @param keyLength I32 `[S]`: number of keys of each sequence
  /// @param count `S`
  /// @param longestQuery an upper bound, for the launch geometry
  /// @param longestKey an upper bound
  /// @param plan from [#plan], or null
  record Sequences(
      Tensor queryStart,
      Tensor keyStart,
      Tensor keyLength,
      int count,
      int longestQuery,
      int longestKey,
      @Nullable Plan plan) {

    /// Sequences without a plan.
    public Sequences(
        Tensor queryStart,
        Tensor keyStart,
        Tensor keyLength,
        int count,
        int longestQuery,
        int longestKey) {
      this(queryStart, keyStart, keyLength, count, longestQuery, longestKey, null);
    }

    /// The same sequences with `plan`.
    public Sequences with(Plan plan) {
      return new Sequences(queryStart, keyStart, keyLength, count, longestQuery, longestKey, plan);
    }
  }

  /// How scores are formed.
  ///
  /// @param scale factor of the scores, usually `1/sqrt(D)`
  /// @param window keys a query sees, itself included; 0 for all
  /// @param softcap `c·tanh(score/c)` is applied to the scaled scores; 0 for none
  record Config(float scale, int window, float softcap) {}
}
