package dev.gatun.cuda.op;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.cuda.op.LoraGrid.Kind;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// How blocks share out the tiles.
class LoraGridTest {
  private static final int MULTIPROCESSORS = 132;

  @ParameterizedTest
  @CsvSource({
    "256, 64, 8",
    "257, 192, 16",
    "1000, 4096, 48",
    "8192, 4096, 16",
    "8193, 14336, 64",
    "100000, 1024, 32",
    "1048576, 14336, 64",
    "1048576, 64, 8",
    "300, 131072, 16"
  })
  void everyTileHasOneBlockAndEveryBlockATile(long rows, long wide, long rank) {
    long rowTiles = Math.ceilDiv(rows, 128L);
    long columnTiles = Math.ceilDiv(wide, 128L);
    for (Kind kind : Kind.values()) {
      LoraGrid grid = LoraGrid.of(kind, rows, wide, rank);

      assertThat(grid.chunks() * grid.ranges()).as("%s", grid).isBetween(1, MULTIPROCESSORS);
      assertThat((long) grid.chunks() * grid.rowTiles()).isGreaterThanOrEqualTo(rowTiles);
      assertThat((grid.chunks() - 1L) * grid.rowTiles()).isLessThan(rowTiles);
      assertThat((long) grid.ranges() * grid.columnTiles()).isGreaterThanOrEqualTo(columnTiles);
      assertThat((grid.ranges() - 1L) * grid.columnTiles()).isLessThan(columnTiles);
      assertThat(LoraProducts.scratchBytes(rows, wide, rank))
          .isGreaterThanOrEqualTo(LoraGrid.scratchBytes(kind, rows, wide, rank));
    }
  }

  /// The layers of an 8B model at 8192 tokens: no block waits long for another, and the partial
  /// results, `2·R/W` of what is read anyway for a block of W columns and as much for its rows,
  /// stay small.
  @ParameterizedTest
  @CsvSource({
    "ROW, 4096, 48, 0.05",
    "ROW, 14336, 32, 0.01",
    "ROW, 1024, 16, 0.07",
    "COLUMN, 4096, 48, 0.05",
    "COLUMN, 14336, 16, 0.04",
    "COLUMN, 4096, 64, 0.07",
    "BOTH, 1024, 8, 0.13",
    "BOTH, 1024, 16, 0.26",
    "BOTH, 4096, 8, 0.07",
    "BOTH, 4096, 16, 0.13",
    "BOTH, 4096, 32, 0.26",
    "BOTH, 14336, 8, 0.05",
    "BOTH, 14336, 16, 0.09",
    "BOTH, 14336, 32, 0.17"
  })
  void workIsEvenAndPartialResultsAreSmall(Kind kind, long wide, long rank, double share) {
    long rows = 8192;
    LoraGrid grid = LoraGrid.of(kind, rows, wide, rank);

    double ideal = (double) Math.ceilDiv(rows, 128L) * Math.ceilDiv(wide, 128L) / MULTIPROCESSORS;
    assertThat((double) grid.rowTiles() * grid.columnTiles())
        .as("%s", grid)
        .isLessThanOrEqualTo(1.1 * ideal);
    double partial =
        4.0 * (grid.rowPartials(kind, rows, rank) + grid.columnPartials(kind, wide, rank));
    assertThat(partial / (2.0 * rows * wide)).as("%s", grid).isLessThan(share);
  }
}
