package dev.gatun.kernels;

import dev.gatun.op.LossOps;
import dev.gatun.tensor.DType;
import org.jspecify.annotations.Nullable;

/// Output head and cross-entropy in one, chunk by chunk; the logits `[T, V]` never exist. For every
/// trained row `i`: `tokenLoss[i] = logsumexp(z) − z[labels[i]]` with `z = hidden[rows[i]]·Wᵀ`,
/// scaled and capped as `config` says.
///
/// @param hidden BF16 `[T, H]`
/// @param head `[V, H]`
/// @param rows I32 `[n]`, ascending, each in `[0, T)`
/// @param labels I32 `[n]`, each in `[0, V)`
/// @param tokenLoss F32 `[n]`, written
/// @param correct I32 `[n]`, written: 1 where the largest logit is the label's; or null
/// @param gradients null to evaluate only
public record CrossEntropy(
    Matrix hidden,
    WeightMatrix head,
    Vector rows,
    Vector labels,
    Vector tokenLoss,
    @Nullable Vector correct,
    @Nullable Gradients gradients,
    LossOps.Config config) {
  private static final int CHUNK_ROWS = 1024;

  /// Gradients of `upstream · Σ tokenLoss`.
  ///
  /// @param hidden BF16 `[T, H]`, replaced; zero in untrained rows
  /// @param head F32 `[V, H]`, added to, or null if frozen
  /// @param upstream F32 `[1]`, usually 1 / n
  public record Gradients(Matrix hidden, @Nullable Matrix head, Vector upstream) {}

  public CrossEntropy {
    Require.shape("hidden", hidden, DType.BF16, hidden.rows(), head.in());
    Require.weight(head);
    Require.count("rows", rows, DType.I32, rows.count());
    Require.count("labels", labels, DType.I32, rows.count());
    Require.count("tokenLoss", tokenLoss, DType.F32, rows.count());
    if (correct != null) {
      Require.count("correct", correct, DType.I32, rows.count());
    }
    if (gradients != null) {
      Require.shape("dhidden", gradients.hidden(), DType.BF16, hidden.rows(), hidden.cols());
      if (gradients.head() != null) {
        Require.shape("dhead", gradients.head(), DType.F32, head.out(), head.in());
      }
      Require.count("upstream", gradients.upstream(), DType.F32, 1);
    }
  }

  /// Plain cross-entropy without gradients.
  public CrossEntropy(
      Matrix hidden, WeightMatrix head, Vector rows, Vector labels, Vector tokenLoss) {
    this(hidden, head, rows, labels, tokenLoss, null, null, LossOps.Config.plain(CHUNK_ROWS));
  }

  public CrossEntropy withGradients(Gradients wanted) {
    return new CrossEntropy(hidden, head, rows, labels, tokenLoss, correct, wanted, config);
  }

  public CrossEntropy withConfig(LossOps.Config other) {
    return new CrossEntropy(hidden, head, rows, labels, tokenLoss, correct, gradients, other);
  }
}
