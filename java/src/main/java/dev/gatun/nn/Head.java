package dev.gatun.nn;

import dev.gatun.model.ModelConfig;
import dev.gatun.op.LossOps;
import dev.gatun.op.Projection;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// Final normalisation, output head and loss.
///
/// @param gradient F32 `[V, H]` of the head, or null if frozen
record Head(RmsNorm norm, Weight weight, @Nullable Tensor gradient, LossOps.Config loss) {

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
    LossOps.Gradients gradients = new LossOps.Gradients(gradient, this.gradient, null, upstream);
    loss(batch, gradients, normed, pass);
    norm.backward(gradient, gradient, null, x, rstd, pass);
    pass.arena().release(mark);
  }

  /// Losses alone; normalises `x` in place.
  void evaluate(DeviceBatch batch, Tensor x, Pass pass) {
    norm.forward(x, null, x, pass);
    pass.probe().observe(ModuleTree.FINAL_NORM, "output", x);
    loss(batch, null, x, pass);
    pass.probe().observe(ModuleTree.HEAD, "loss", batch.outputs().tokenLoss());
  }

  private void loss(
      DeviceBatch batch, LossOps.@Nullable Gradients gradients, Tensor normed, Pass pass) {
    pass.backend()
        .loss()
        .linearCrossEntropy(
            batch.outputs(), gradients, normed, weight, null, batch.targets(), loss, pass.arena());
  }

  /// `logits[i]` of already normalised rows.
  ///
  /// @param logits F32 `[rows, V]`
  void logits(Tensor logits, Tensor normed, Pass pass) {
    if (loss.logitScale() != 1 || loss.softcap() != 0) {
      throw new UnsupportedOperationException("sampling from scaled or capped logits");
    }
    pass.backend().matmul().logits(logits, normed, weight, null, pass.arena());
  }

  Projection projection() {
    return new Projection(weight, null, null);
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
