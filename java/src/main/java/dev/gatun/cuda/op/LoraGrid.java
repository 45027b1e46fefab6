package dev.gatun.cuda.op;

import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;

/// How the blocks of a kernel of `lora.cu` share out the tiles of the wide matrix.
///
/// A function of the sizes alone, so that sums have the same order on every GPU; fastest on GPUs
/// with about [#BLOCKS] multiprocessors.
///
/// @param rowTiles rows of tiles that a block owns
/// @param columnTiles columns of tiles that a block owns
/// @param chunks blocks along the rows, each with a partial result of the column product
/// @param ranges blocks along the columns, each with a partial result of the row product
record LoraGrid(int rowTiles, int columnTiles, int chunks, int ranges) {
  static final int TILE = 128;

  /// One block a multiprocessor of an H100: each has the whole shared memory for tiles under way.
  private static final int BLOCKS = 132;

  // Row tiles between two additions to the partial column product, if both products are wanted.
  private static final int PANEL = 4;
  private static final double TILE_BYTES = TILE * TILE * 2.0;

  /// The products that a launch computes.
  enum Kind {
    ROW,
    COLUMN,
    BOTH;

    boolean row() {
      return this != COLUMN;
    }

    boolean column() {
      return this != ROW;
    }
  }

  /// The cheapest grid of at most [#BLOCKS] blocks, counted in bytes: what the busiest block
  /// streams, and the partial results.
  static LoraGrid of(Kind kind, long rows, long wide, long rank) {
    int rowTiles = Math.toIntExact(Math.ceilDiv(rows, (long) TILE));
    int columnTiles = Math.toIntExact(Math.ceilDiv(wide, (long) TILE));
    LoraGrid best = null;
    double least = Double.POSITIVE_INFINITY;
    for (int wanted = 1; wanted <= Math.min(rowTiles, BLOCKS); wanted++) {
      int height = Math.ceilDiv(rowTiles, wanted);
      int chunks = Math.ceilDiv(rowTiles, height);
      int width = Math.ceilDiv(columnTiles, Math.min(columnTiles, BLOCKS / chunks));
      LoraGrid grid = new LoraGrid(height, width, chunks, Math.ceilDiv(columnTiles, width));
      double bytes = grid.bytes(kind, rows, wide, rank);
      if (best == null || bytes < least) {
        best = grid;
        least = bytes;
      }
    }
    if (best == null) {
      throw new IllegalArgumentException("no rows");
    }
    return best;
  }

  private double bytes(Kind kind, long rows, long wide, long rank) {
    double streamed = BLOCKS * TILE_BYTES * rowTiles * columnTiles;
    int panels = kind == Kind.BOTH ? Math.ceilDiv(rowTiles, PANEL) : 1;
    return streamed
        + 2.0 * Float.BYTES * rowPartials(kind, rows, rank)
        + 2.0 * Float.BYTES * panels * columnPartials(kind, wide, rank);
  }

  /// Elements of the partial row products; none where one block has all columns.
  long rowPartials(Kind kind, long rows, long rank) {
    return kind.row() && ranges > 1 ? ranges * rows * rank : 0;
  }

  /// Elements of the partial column products.
  long columnPartials(Kind kind, long wide, long rank) {
    return kind.column() ? chunks * wide * rank : 0;
  }

  /// Bytes that the partial results take in an arena.
  static long scratchBytes(Kind kind, long rows, long wide, long rank) {
    LoraGrid grid = of(kind, rows, wide, rank);
    return TensorArena.sizeOf(DType.F32, grid.rowPartials(kind, rows, rank))
        + TensorArena.sizeOf(DType.F32, grid.columnPartials(kind, wide, rank));
  }
}
