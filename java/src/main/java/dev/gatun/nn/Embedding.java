package dev.gatun.nn;

import dev.gatun.op.Dropout;
import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// Token embedding, with NEFTune's noise while training (Jain et al., 2023).
///
/// @param table `[V, H]`
/// @param gradient F32 `[V, H]`, or null if frozen
/// @param rows its rows that are trained by themselves, or null
/// @param update its low-rank update, or null
/// @param paddingId id that gets no gradient here, as in PyTorch's `padding_idx`; null for none
/// @param neftuneAlpha 0 for no noise
/// @param noise its stream
record Embedding(
    Tensor table,
    @Nullable Tensor gradient,
    @Nullable TokenRows rows,
    @Nullable EmbeddingUpdate update,
    float scale,
    @Nullable Integer paddingId,
    float neftuneAlpha,
    Dropout noise) {

  /// @param y `[T, H]`
  void forward(Tensor y, Pass pass) {
    pass.backend().embedding().gather(y, table, pass.tokens().ids(), scale);
    if (update != null) {
      update.forward(y, scale, pass);
    }
    if (pass.training() && neftuneAlpha > 0) {
      // The length is that of the packed batch, as for a padding-free batch in the original.
      double elements = (double) pass.tokenCount() * y.cols();
      float magnitude = (float) (neftuneAlpha / Math.sqrt(elements));
      pass.backend().tensor().addUniformNoise(y, magnitude, noise);
    }
    pass.probe().observe(ModuleTree.EMBEDDING, "output", y);
  }

  void backward(Tensor dy, Pass pass) {
    if (update != null) {
      update.backward(dy, scale, paddingId, pass);
    }
    if (rows != null) {
      rows.scatter(dy, scale, pass);
    }
    if (gradient == null) {
      return;
    }
    Integer padding = paddingId;
    if (padding == null || padding < 0 || padding >= gradient.rows()) {
      scatter(gradient, dy, pass);
      return;
    }
    // The row may hold a tied head's gradient, so it is kept rather than zeroed.
    long mark = pass.arena().mark();
    Tensor row = gradient.rows(padding, 1);
    Tensor kept = pass.floats(1, row.cols());
    pass.backend().tensor().copy(kept, row);
    scatter(gradient, dy, pass);
    pass.backend().tensor().copy(row, kept);
    pass.arena().release(mark);
  }

  private void scatter(Tensor into, Tensor dy, Pass pass) {
    pass.backend().embedding().scatterAdd(into, dy, pass.tokens().ids(), scale, pass.arena());
  }
}
