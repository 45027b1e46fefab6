package dev.gatun.io;

import dev.gatun.quant.Nf4Codec;

/// What the weights of the decoder's linear layers become when a model is loaded. Embeddings, norms
/// and the output head always stay as stored, and so does a weight that is 4-bit in the checkpoint.
public sealed interface WeightFormat {
  /// The checkpoint's own format.
  record AsStored() implements WeightFormat {}

  /// Quantised to NF4 one by one while loading.
  ///
  /// @param blockSize elements that share a scale; even
  /// @param doubleQuant whether the scales are quantised too
  record Nf4(int blockSize, boolean doubleQuant) implements WeightFormat {
    public Nf4 {
      if (blockSize < 2 || blockSize % 2 != 0) {
        throw new IllegalArgumentException("a block of " + blockSize + " elements");
      }
    }

    /// QLoRA's usual setting.
    public static final Nf4 DOUBLE = new Nf4(Nf4Codec.BLOCK, true);
  }
}
