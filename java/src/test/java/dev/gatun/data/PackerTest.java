package dev.gatun.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.data.Packer.Piece;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class PackerTest {
  /// TRL's own documentation example.
  @Test
  void packsTheDocumentedExample() {
    int[] lengths = {5, 2, 3, 1};
    assertThat(Packer.pack(lengths, 4, PackingStrategy.BFD))
        .containsExactly(
            List.of(new Piece(0, 0, 4)),
            List.of(new Piece(2, 0, 3), new Piece(3, 0, 1)),
            List.of(new Piece(1, 0, 2)));
    assertThat(Packer.pack(lengths, 4, PackingStrategy.BFD_SPLIT))
        .containsExactly(
            List.of(new Piece(0, 0, 4)),
            List.of(new Piece(2, 0, 3), new Piece(0, 4, 1)),
            List.of(new Piece(1, 0, 2), new Piece(3, 0, 1)));
    assertThat(Packer.pack(lengths, 4, PackingStrategy.WRAPPED))
        .containsExactly(
            List.of(new Piece(0, 0, 4)),
            List.of(new Piece(0, 4, 1), new Piece(1, 0, 2), new Piece(2, 0, 1)),
            List.of(new Piece(2, 1, 2), new Piece(3, 0, 1)));
  }

  @ParameterizedTest
  @EnumSource(PackingStrategy.class)
  void keepsItsPromises(PackingStrategy strategy) {
    for (int seed = 0; seed < 60; seed++) {
      Random random = new Random(seed);
      int[] lengths = random.ints(random.nextInt(2500), 0, 90).toArray();
      int capacity = 1 + random.nextInt(120);
      List<List<Piece>> packed = Packer.pack(lengths, capacity, strategy);
      int[] seen = new int[lengths.length];
      for (List<Piece> bin : packed) {
        String where = "seed " + seed + " capacity " + capacity + " bin " + bin;
        assertThat(bin).as(where).isNotEmpty().allMatch(piece -> piece.length() > 0);
        assertThat(total(bin)).as(where).isLessThanOrEqualTo(capacity);
        assertThat(bin.stream().map(p -> p.row() / 1000).distinct().count()).as(where).isOne();
        bin.forEach(piece -> seen[piece.row()] += piece.length());
      }
      boolean cuts = strategy == PackingStrategy.BFD;
      int[] expected = Arrays.stream(lengths).map(n -> cuts ? Math.min(n, capacity) : n).toArray();
      assertThat(seen).as("seed %d", seed).isEqualTo(expected);
    }
  }

  @Test
  void wrappedRowsAreFullButForTheLastOfABatch() {
    int[] lengths = new int[1500];
    Arrays.fill(lengths, 7);
    List<List<Piece>> packed = Packer.pack(lengths, 64, PackingStrategy.WRAPPED);
    assertThat(packed.stream().filter(bin -> total(bin) < 64).count()).isEqualTo(2);
  }

  @Test
  void refusesACapacityOfZero() {
    assertThatThrownBy(() -> Packer.pack(new int[] {1}, 0, PackingStrategy.BFD))
        .isInstanceOf(InputException.class);
  }

  private static int total(List<Piece> bin) {
    return bin.stream().mapToInt(Piece::length).sum();
  }
}
