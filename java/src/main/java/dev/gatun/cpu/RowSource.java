package dev.gatun.cpu;

import dev.gatun.quant.Weight;

/// A matrix that can be read in pieces of rows as `float`: a tensor, or a weight that is
/// dequantised on the way.
interface RowSource {
  long rows();

  long cols();

  /// Copies `count` elements of `row`, starting at column `from`, to `target[at …]`.
  void read(long row, long from, int count, float[] target, int at);

  /// The dequantised rows of a weight.
  static RowSource of(Weight weight) {
    return switch (weight) {
      case Weight.Dense dense -> new Rows(dense.tensor());
      case Weight.Nf4 nf4 -> new Nf4Rows(nf4);
    };
  }
}
