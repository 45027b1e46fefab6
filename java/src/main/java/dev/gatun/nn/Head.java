package dev.gatun.nn;

import dev.gatun.model.ModelConfig;
import dev.gatun.op.Backend;
import dev.gatun.op.LossOps;
import dev.gatun.op.LowRankTerm;
import dev.gatun.op.Projection;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.Tensor;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Final normalisation, output head and loss.
///
/// @param gradient F32 `[V, H]` of the head, or null if frozen
/// @param rows its rows that are trained by themselves, or null
/// @param update its low-rank update, or null
record Head(
    RmsNorm norm,
    Weight weight,
    @Nullable Tensor gradient,
    @Nullable TokenRows rows,
    @Nullable HeadUpdate update,
    LossOps.Config loss) {

  /// Losses of the trained rows, and `gradient` of `upstream·Σ loss` with respect to `x`.
  ///
  /// @param gradient `[T, H]`, replaced
  /// @param x output of the last decoder layer
  /// @param upstream F32 `[1]`
  void forwardBackward(Tensor gradient, DeviceBatch batch, Tensor x, Tensor upstream, Pass pass) {
    long mark = pass.arena().mark();
    Tensor rstd = pass.floats(pass.tokenCount());
    Tensor normed = pass.activation(pass.tokenCount(), x.cols());
    norm.forward(normed, rstd, x, pass);
    LossOps.Gradients gradients =
        new LossOps.Gradients(
            gradient, this.gradient, null, upstream, rows == null ? List.of() : rows.gradients());
    HeadUpdate.Made made = update == null ? null : update.forward(normed, pass);
    loss(batch, gradients, normed, made, pass);
    if (update != null && made != null) {
      update.backward(gradient, made, pass);
    }
    norm.backward(gradient, gradient, null, x, rstd, pass);
    pass.arena().release(mark);
  }

  /// Losses alone; normalises `x` in place.
  void evaluate(DeviceBatch batch, Tensor x, Pass pass) {
    norm.forward(x, null, x, pass);
    pass.probe().observe(ModuleTree.FINAL_NORM, "output", x);
    long mark = pass.arena().mark();
    loss(batch, null, x, update == null ? null : update.forward(x, pass), pass);
    pass.arena().release(mark);
    pass.probe().observe(ModuleTree.HEAD, "loss", batch.outputs().tokenLoss());
  }

  private void loss(
      DeviceBatch batch,
      LossOps.@Nullable Gradients gradients,
      Tensor normed,
      HeadUpdate.@Nullable Made made,
      Pass pass) {
    pass.backend()
        .loss()
        .linearCrossEntropy(
            batch.outputs(),
            gradients,
            normed,
            weight,
            null,
            update == null || made == null ? null : update.loss(made),
            batch.targets(),
            loss,
            pass.arena());
  }

  /// `logits[i]` of already normalised rows.
  ///
  /// @param logits F32 `[rows, V]`
  void logits(Tensor logits, Tensor normed, Pass pass) {
    if (loss.logitScale() != 1 || loss.softcap() != 0) {
      throw new UnsupportedOperationException("sampling from scaled or capped logits");
    }
    long mark = pass.arena().mark();
    LowRankTerm term = update == null ? null : update.forward(normed, pass).term();
    pass.backend().matmul().logits(logits, normed, weight, null, term, pass.arena());
    pass.arena().release(mark);
  }

  /// Memory that [#logits] takes at most.
  long logitsBytes(long rows, Backend backend) {
    return backend.matmul().scratchBytes(rows, List.of(new Projection(weight, null, null)))
        + (update == null ? 0 : update.bytes(rows, backend));
  }

  /// What the loss does to the logits of `config`.
  static LossOps.Config lossConfig(ModelConfig config, Options options) {
    return new LossOps.Config(
        config.logitScale(),
        config.logitSoftcap(),
        options.labelSmoothing(),
        options.lossChunkRows());
  }
}
