package dev.gatun.op;

import dev.gatun.tensor.Tensor;

/// Token embedding.
public interface EmbeddingOps {
  /// `y[t] = scale·table[ids[t]]`.
  ///
  /// @param y `[T, H]`
  /// @param table `[V, H]`, any floating type
  /// @param ids I32 `[T]`, each in `[0, V)`
  void gather(Tensor y, Tensor table, Tensor ids, float scale);

  /// `dtable[ids[t]] += scale·dy[t]`, always in the order of `t`: deterministic.
  ///
  /// @param dtable F32 `[V, H]`
  void scatterAdd(Tensor dtable, Tensor dy, Tensor ids, float scale, TensorArena scratch);

  /// `y[t] = scale·table[:, ids[t]]`.
  ///
  /// @param y `[T, R]`, may be strided
  /// @param table `[R, V]`, contiguous, any floating type
  /// @param ids I32 `[T]`, each in `[0, V)`
  void gatherColumns(Tensor y, Tensor table, Tensor ids, float scale);

  /// `dtable[:, ids[t]] += scale·dy[t]`, always in the order of `t`: deterministic.
  ///
  /// @param dtable F32 `[R, V]`, contiguous
  /// @param dy `[T, R]`, may be strided
  void scatterAddColumns(Tensor dtable, Tensor dy, Tensor ids, float scale, TensorArena scratch);

  /// Scratch bytes that [#scatterAdd] and [#scatterAddColumns] need at most.
  long scratchBytes(long tokens, long hidden, long vocabulary);
}
