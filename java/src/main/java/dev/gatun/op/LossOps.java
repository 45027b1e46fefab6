package dev.gatun.op;

import dev.gatun.quant.Weight;
import dev.gatun.tensor.Tensor;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Output head and cross-entropy in one: `[T, V]` logits never exist, and rows without a target are
/// never computed.
public interface LossOps {
  /// For every trained row `i`: `z = cap(logitScale·(hidden[rows[i]]·Wᵀ + bias))`, `tokenLoss[i] =
  /// logsumexp(z) − z[targets[i]]` (with label smoothing ε: `(1−ε)·that + ε·(logsumexp(z) −
  /// mean(z))`). Gradients of `upstream·Σ tokenLoss` are computed in the same pass, chunk by chunk.
  ///
  /// @param outputs where the figures of each trained row go
  /// @param gradients null to evaluate only
  /// @param hidden `[T, H]` after the final norm, activation type
  /// @param head `[V, H]`
  /// @param bias `[V]` or null
  /// @param update what is added to `hidden·Wᵀ`, or null
  /// @param targets which rows are trained, on what
  /// @param scratch holds one chunk of logits, see [#scratchBytes]
  void linearCrossEntropy(
      Outputs outputs,
      @Nullable Gradients gradients,
      Tensor hidden,
      Weight head,
      @Nullable Tensor bias,
      @Nullable Update update,
      Targets targets,
      Config config,
      TensorArena scratch);

  /// The same without an update.
  default void linearCrossEntropy(
      Outputs outputs,
      @Nullable Gradients gradients,
      Tensor hidden,
      Weight head,
      @Nullable Tensor bias,
      Targets targets,
      Config config,
      TensorArena scratch) {
    linearCrossEntropy(outputs, gradients, hidden, head, bias, null, targets, config, scratch);
  }

  /// Scratch bytes that [#linearCrossEntropy] needs at most.
  ///
  /// @param rank of the update, 0 without one
  long scratchBytes(long trainedRows, Weight head, int rank, Config config);

  /// The same without an update.
  default long scratchBytes(long trainedRows, Weight head, Config config) {
    return scratchBytes(trainedRows, head, 0, config);
  }

  /// Labels with this value are not trained on.
  int IGNORE_INDEX = -100;

  /// The trained rows of a batch: labels are already aligned (shifted), rows labelled -100 are left
  /// out.
  ///
  /// @param rows I32 `[n]`, ascending
  /// @param labels I32 `[n]`
  record Targets(Tensor rows, Tensor labels) {
    public long count() {
      return rows.count();
    }
  }

  /// Figures of the trained rows.
  ///
  /// @param tokenLoss F32 `[n]`
  /// @param correct I32 `[n]`: 1 where the largest logit is the label's, or null
  /// @param entropy F32 `[n]`: entropy of the predicted distribution, or null
  record Outputs(Tensor tokenLoss, @Nullable Tensor correct, @Nullable Tensor entropy) {}

  /// Where gradients go.
  ///
  /// @param hidden `[T, H]` activation type, replaced (zero in untrained rows)
  /// @param head F32 `[V, H]`, added to, or null if frozen
  /// @param bias F32 `[V]`, added to, or null if frozen
  /// @param upstream F32 `[1]`, usually 1 / number of trained tokens of the step
  /// @param headRows rows of the head that are trained where others are frozen; may be empty
  record Gradients(
      Tensor hidden,
      @Nullable Tensor head,
      @Nullable Tensor bias,
      Tensor upstream,
      List<HeadRows> headRows) {
    public Gradients {
      headRows = List.copyOf(headRows);
    }

    /// The head is trained whole or not at all.
    public Gradients(Tensor hidden, @Nullable Tensor head, @Nullable Tensor bias, Tensor upstream) {
      this(hidden, head, bias, upstream, List.of());
    }
  }

  /// Gradient of the head's rows from `first` on.
  ///
  /// @param gradient F32 `[n, H]`, added to
  record HeadRows(long first, Tensor gradient) {}

  /// A low-rank update of the head; gradients are used where [Gradients] are.
  ///
  /// @param term inner tensor `[T, R]` and B `[V, R]`
  /// @param innerGradient `[T, R]` activation type, replaced by `scale·dz·B` (zero in untrained
  ///   rows); null to evaluate only
  /// @param b F32 `[V, R]`, added to, or null if frozen
  record Update(LowRankTerm term, @Nullable Tensor innerGradient, @Nullable Tensor b) {}

  /// How logits become a loss.
  ///
  /// @param logitScale factor of the logits, 1 for none; applied before the cap
  /// @param softcap `c·tanh(z/c)`; 0 for none
  /// @param labelSmoothing in [0, 1)
  /// @param chunkRows rows whose logits exist at a time
  record Config(float logitScale, float softcap, float labelSmoothing, int chunkRows) {
    /// No scale, no cap, no smoothing.
    public static Config plain(int chunkRows) {
      return new Config(1, 0, 0, chunkRows);
    }
  }
}
