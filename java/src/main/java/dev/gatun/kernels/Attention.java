package dev.gatun.kernels;

import dev.gatun.op.AttentionOps;
import dev.gatun.tensor.DType;

/// Causal attention over packed sequences of different lengths, with grouped key/value heads: `out
/// = softmax(mask(cap(scale·q·kᵀ)))·v`.
///
/// @param out BF16 `[T, N*D]`, written
/// @param logSumExp F32 `[T, N]`, written; backward reads it
/// @param q BF16 `[T, N*D]`, may be strided
/// @param k BF16 `[T, K*D]`, may be strided; `N` is a multiple of `K`
/// @param v BF16 `[T, K*D]`, may be strided
/// @param headSize `D`
public record Attention(
    Matrix out,
    Matrix logSumExp,
    Matrix q,
    Matrix k,
    Matrix v,
    int headSize,
    Sequences sequences,
    AttentionOps.Config config) {

  /// Where each sequence's rows are.
  ///
  /// @param starts I32 `[S+1]`: first row of each sequence, then `T`
  /// @param lengths I32 `[S]`: rows of each sequence
  /// @param longest an upper bound of the lengths
  public record Sequences(Vector starts, Vector lengths, int longest) {
    public Sequences {
      Require.count("lengths", lengths, DType.I32, lengths.count());
      Require.count("starts", starts, DType.I32, lengths.count() + 1);
    }
  }

  public Attention {
    if (headSize <= 0 || q.cols() % headSize != 0 || k.cols() % headSize != 0) {
      throw new IllegalArgumentException(
          "queries of %d and keys of %d columns are not heads of %d"
              .formatted(q.cols(), k.cols(), headSize));
    }
    if (q.cols() % k.cols() != 0) {
      throw new IllegalArgumentException(
          "%d query heads share %d key heads unevenly"
              .formatted(q.cols() / headSize, k.cols() / headSize));
    }
    Require.type("q", q, DType.BF16);
    Require.shape("k", k, DType.BF16, q.rows(), k.cols());
    Require.shape("v", v, DType.BF16, q.rows(), k.cols());
    Require.shape("out", out, DType.BF16, q.rows(), q.cols());
    Require.shape("logSumExp", logSumExp, DType.F32, q.rows(), q.cols() / headSize);
  }

  /// With scores scaled by `1/sqrt(D)`, no window and no cap.
  public Attention(
      Matrix out,
      Matrix logSumExp,
      Matrix q,
      Matrix k,
      Matrix v,
      int headSize,
      Sequences sequences) {
    this(
        out,
        logSumExp,
        q,
        k,
        v,
        headSize,
        sequences,
        new AttentionOps.Config((float) (1 / Math.sqrt(headSize)), 0, 0));
  }
}
