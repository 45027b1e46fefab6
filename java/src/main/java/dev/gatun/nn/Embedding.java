package dev.gatun.nn;

import dev.gatun.op.Dropout;
import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// Token embedding, with NEFTune's noise while training (Jain et al., 2023).
///
/// @param table `[V, H]`
/// @param gradient F32 `[V, H]`, or null if frozen
/// @param neftuneAlpha 0 for no noise
/// @param noise its stream
record Embedding(
    Tensor table, @Nullable Tensor gradient, float scale, float neftuneAlpha, Dropout noise) {

  /// @param y `[T, H]`
  void forward(Tensor y, Pass pass) {
    pass.backend().embedding().gather(y, table, pass.tokens().ids(), scale);
    if (pass.training() && neftuneAlpha > 0) {
      // The length is that of the packed batch, as for a padding-free batch in the original.
      double elements = (double) pass.tokenCount() * y.cols();
      float magnitude = (float) (neftuneAlpha / Math.sqrt(elements));
      pass.backend().tensor().addUniformNoise(y, magnitude, noise);
    }
    pass.probe().observe(ModuleTree.EMBEDDING, "output", y);
  }

  void backward(Tensor dy, Pass pass) {
    if (gradient != null) {
      pass.backend().embedding().scatterAdd(gradient, dy, pass.tokens().ids(), scale, pass.arena());
    }
  }
}
