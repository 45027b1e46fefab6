package dev.gatun.data;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// How long samples are, in tokens.
///
/// @param shortest 0 if there are no samples
/// @param median half of the samples are at most this long
/// @param p90 nine of ten are
/// @param p99 99 of 100 are
/// @param longest the longest
/// @param bins a histogram, ascending, from the shortest to the longest; edges are 1, 2, 3, 4, 6,
///   8, 12, 16, 24 and so on
public record LengthFigures(
    int shortest, int median, int p90, int p99, int longest, List<Bin> bins) {

  /// Samples of `from` to `to` tokens, both included.
  public record Bin(int from, int to, long samples) {}

  public LengthFigures {
    bins = List.copyOf(bins);
  }

  /// @param lengths in any order; not changed
  static LengthFigures of(int[] lengths) {
    if (lengths.length == 0) {
      return new LengthFigures(0, 0, 0, 0, 0, List.of());
    }
    int[] sorted = lengths.clone();
    Arrays.sort(sorted);
    List<Bin> bins = new ArrayList<>();
    int index = 0;
    for (int from = 0; index < sorted.length; from = next(from)) {
      int start = index;
      while (index < sorted.length && sorted[index] < next(from)) {
        index++;
      }
      if (index > 0) {
        bins.add(new Bin(from, next(from) - 1, index - start));
      }
    }
    return new LengthFigures(
        sorted[0],
        quantile(sorted, 50),
        quantile(sorted, 90),
        quantile(sorted, 99),
        sorted[sorted.length - 1],
        bins);
  }

  /// The smallest value that at least so many percent of all do not exceed.
  private static int quantile(int[] sorted, int percent) {
    return sorted[(int) (((long) sorted.length * percent + 99) / 100) - 1];
  }

  /// The edge after `edge`: powers of two and the middles between them.
  private static int next(int edge) {
    if (edge < 2) {
      return edge + 1;
    }
    int power = Integer.highestOneBit(edge);
    int next = edge == power ? power + power / 2 : 2 * power;
    return next < 0 ? Integer.MAX_VALUE : next;
  }
}
