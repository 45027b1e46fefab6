package dev.gatun.io;

import dev.gatun.quant.Nf4Codec;

/// What the weights become when a model is loaded. One that is 4-bit in the checkpoint stays so.
public sealed interface WeightFormat {
  /// The checkpoint's own format.
  record AsStored() implements WeightFormat {}

  /// What the backend multiplies: the checkpoint's own format, but matrices of another type are
  /// rounded to the backend's activation type where that has 16 bits.
  record Operand() implements WeightFormat {}

  /// The decoder's linear layers quantised to NF4 one by one while loading, from the stored values;
  /// embeddings and the output head as [Operand].
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
