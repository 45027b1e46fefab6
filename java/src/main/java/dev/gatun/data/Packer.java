package dev.gatun.data;

import dev.gatun.InputException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/// Puts rows into packed rows as TRL's `pack_dataset` does. TRL packs 1000 rows at a time, and so
/// does this: no packed row spans two such batches.
///
/// One difference: on a dataset of one Arrow chunk TRL's `wrapped` loses the tokens of all rows
/// after the first 1000 and repeats earlier ones instead; here no token is lost.
public final class Packer {
  /// Source rows that are packed together.
  public static final int BATCH_ROWS = 1000;

  private Packer() {}

  /// A part of a source row.
  ///
  /// @param row number of the source row
  /// @param start first token of the part
  /// @param length number of tokens, at least 1
  public record Piece(int row, int start, int length) {}

  /// Packs rows of the given lengths.
  ///
  /// @param lengths tokens per source row; empty rows vanish
  /// @param capacity most tokens of a packed row, `max_length`
  /// @return per packed row its pieces in order; under [PackingStrategy#BFD] and
  ///   [PackingStrategy#BFD_SPLIT] every piece is a sample of its own, under
  ///   [PackingStrategy#WRAPPED] the packed row is one
  public static List<List<Piece>> pack(int[] lengths, int capacity, PackingStrategy strategy) {
    if (capacity < 1) {
      throw new InputException("Packing needs a max_length of at least 1.");
    }
    List<List<Piece>> packed = new ArrayList<>();
    for (int from = 0; from < lengths.length; from += BATCH_ROWS) {
      int to = Math.min(lengths.length, from + BATCH_ROWS);
      packed.addAll(
          switch (strategy) {
            case BFD -> bestFit(truncated(lengths, from, to, capacity), capacity);
            case BFD_SPLIT -> bestFit(split(lengths, from, to, capacity), capacity);
            case WRAPPED -> wrapped(lengths, from, to, capacity);
          });
    }
    return packed;
  }

  private static List<Piece> truncated(int[] lengths, int from, int to, int capacity) {
    List<Piece> pieces = new ArrayList<>();
    for (int row = from; row < to; row++) {
      if (lengths[row] > 0) {
        pieces.add(new Piece(row, 0, Math.min(lengths[row], capacity)));
      }
    }
    return pieces;
  }

  private static List<Piece> split(int[] lengths, int from, int to, int capacity) {
    List<Piece> pieces = new ArrayList<>();
    for (int row = from; row < to; row++) {
      for (int start = 0; start < lengths[row]; start += capacity) {
        pieces.add(new Piece(row, start, Math.min(capacity, lengths[row] - start)));
      }
    }
    return pieces;
  }

  /// Longest first, ties in row order; each goes where the least room is left over, and among
  /// equals to the bin that has had this much room for longest.
  private static List<List<Piece>> bestFit(List<Piece> pieces, int capacity) {
    pieces.sort(Comparator.comparingInt(Piece::length).reversed());
    List<List<Piece>> bins = new ArrayList<>();
    TreeMap<Integer, Deque<List<Piece>>> byRoom = new TreeMap<>();
    for (Piece piece : pieces) {
      Map.Entry<Integer, Deque<List<Piece>>> fit = byRoom.ceilingEntry(piece.length());
      List<Piece> bin;
      int room;
      if (fit == null) {
        bin = new ArrayList<>();
        bins.add(bin);
        room = capacity;
      } else {
        room = fit.getKey();
        bin = fit.getValue().removeFirst();
        if (fit.getValue().isEmpty()) {
          byRoom.remove(room);
        }
      }
      bin.add(piece);
      int left = room - piece.length();
      if (left > 0) {
        byRoom.computeIfAbsent(left, _ -> new ArrayDeque<>()).addLast(bin);
      }
    }
    return bins;
  }

  private static List<List<Piece>> wrapped(int[] lengths, int from, int to, int capacity) {
    List<List<Piece>> rows = new ArrayList<>();
    List<Piece> current = new ArrayList<>();
    int room = capacity;
    for (int row = from; row < to; row++) {
      int start = 0;
      while (start < lengths[row]) {
        int length = Math.min(room, lengths[row] - start);
        current.add(new Piece(row, start, length));
        start += length;
        room -= length;
        if (room == 0) {
          rows.add(current);
          current = new ArrayList<>();
          room = capacity;
        }
      }
    }
    if (!current.isEmpty()) {
      rows.add(current);
    }
    return rows;
  }
}
