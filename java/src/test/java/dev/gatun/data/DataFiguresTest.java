package dev.gatun.data;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class DataFiguresTest {
  @Test
  void quantilesAreThoseOfTheSortedLengths() {
    LengthFigures figures = LengthFigures.of(IntStream.rangeClosed(1, 200).toArray());

    assertThat(figures.shortest()).isEqualTo(1);
    assertThat(figures.median()).isEqualTo(100);
    assertThat(figures.p90()).isEqualTo(180);
    assertThat(figures.p99()).isEqualTo(198);
    assertThat(figures.longest()).isEqualTo(200);
    assertThat(LengthFigures.of(new int[] {7}).p99()).isEqualTo(7);
    assertThat(LengthFigures.of(new int[0]).bins()).isEmpty();
  }

  @Test
  void everyLengthIsInOneBin() {
    Random random = new Random(3);
    for (int round = 0; round < 50; round++) {
      int reach = 1 << (1 + random.nextInt(20));
      int[] lengths = random.ints(200, 0, reach).toArray();
      List<LengthFigures.Bin> bins = LengthFigures.of(lengths).bins();
      for (LengthFigures.Bin bin : bins) {
        long expected =
            Arrays.stream(lengths).filter(n -> n >= bin.from() && n <= bin.to()).count();
        assertThat(bin.samples()).isEqualTo(expected);
      }
      assertThat(bins.stream().mapToLong(LengthFigures.Bin::samples).sum()).isEqualTo(200);
    }
  }

  @Test
  void packingCountsRoomAndTokens() {
    DataFigures.Packing packing =
        DataFigures.Packing.of(new int[] {3, 3, 2, 4}, 6, PackingStrategy.BFD);

    assertThat(packing).isEqualTo(new DataFigures.Packing(4, 2, 12, 6));
    assertThat(packing.filled()).isEqualTo(1.0);
    assertThat(DataFigures.Packing.of(new int[] {4, 4}, 6, PackingStrategy.BFD).filled())
        .isEqualTo(8.0 / 12);
  }

  @Test
  void fingerprintsTellSamplesApart() {
    Set<Long> seen = new HashSet<>();
    for (int a = 0; a < 60; a++) {
      for (int b = 0; b < 60; b++) {
        seen.add(Fingerprints.of(new int[] {a, b}));
        seen.add(Fingerprints.of(new int[] {a, b, 0}));
        seen.add(Fingerprints.of(new int[] {0, a, b}));
      }
    }
    // [a, b, 0] and [0, a, b] meet where all are 0, and where a = 0 and b = 0 in each other.
    Set<List<Integer>> different = new HashSet<>();
    for (int a = 0; a < 60; a++) {
      for (int b = 0; b < 60; b++) {
        different.addAll(List.of(List.of(a, b), List.of(a, b, 0), List.of(0, a, b)));
      }
    }
    assertThat(seen).hasSize(different.size());
  }

  @Test
  void theFirstRepeatNamesItsOriginal() {
    assertThat(Fingerprints.repeats(new long[] {5, 9, 7, 9, 5, 9}))
        .isEqualTo(new Fingerprints.Repeats(3, 3, 1));
    assertThat(Fingerprints.repeats(new long[] {1, 2, 3})).isNull();
    assertThat(Fingerprints.repeats(new long[0])).isNull();
  }
}
