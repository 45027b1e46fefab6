package dev.gatun.kernels;

import dev.gatun.tensor.DType;

/// The gradients of an [Attention], deterministic.
///
/// @param forward as it ran: its `out` and `logSumExp` are read
/// @param dout BF16 `[T, N*D]`
/// @param dq BF16 `[T, N*D]`, replaced
/// @param dk BF16 `[T, K*D]`, replaced
/// @param dv BF16 `[T, K*D]`, replaced
public record AttentionBackward(Attention forward, Matrix dout, Matrix dq, Matrix dk, Matrix dv) {
  public AttentionBackward {
    Matrix q = forward.q();
    Matrix k = forward.k();
    Require.shape("dout", dout, DType.BF16, q.rows(), q.cols());
    Require.shape("dq", dq, DType.BF16, q.rows(), q.cols());
    Require.shape("dk", dk, DType.BF16, k.rows(), k.cols());
    Require.shape("dv", dv, DType.BF16, k.rows(), k.cols());
  }
}
