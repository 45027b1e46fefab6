package dev.gatun.data;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/// Where prepared rows come from.
///
/// @param files names of the data files
/// @param unit what numbers count: `line` or `row`
/// @param numbers per prepared row: line or row numbers of its source rows, counted from 1
/// @param filesOf per prepared row: indices of those source rows' files
/// @param fingerprints per prepared row: [Fingerprints] of those source rows
record RowSources(
    List<String> files, String unit, int[][] numbers, int[][] filesOf, long[][] fingerprints) {
  private static final int SHOWN = 4;

  RowSources {
    files = List.copyOf(files);
  }

  /// Rows of no file, numbered from 1.
  static RowSources numbered(int[][] inputIds) {
    int count = inputIds.length;
    int[][] numbers =
        IntStream.range(0, count).mapToObj(i -> new int[] {i + 1}).toArray(int[][]::new);
    long[][] prints =
        Arrays.stream(inputIds)
            .map(ids -> new long[] {Fingerprints.of(ids)})
            .toArray(long[][]::new);
    return new RowSources(List.of("rows"), "row", numbers, new int[count][1], prints);
  }

  String describe(int row) {
    return describe(files, unit, numbers[row], filesOf[row]);
  }

  /// Where a row comes from: `a.jsonl lines 7, 3, b.jsonl line 1`.
  static String describe(List<String> files, String unit, int[] numbers, int[] filesOf) {
    StringBuilder text = new StringBuilder();
    int shown = Math.min(SHOWN, numbers.length);
    for (int i = 0; i < shown; i++) {
      boolean sameFile = i > 0 && filesOf[i] == filesOf[i - 1];
      text.append(i == 0 ? "" : ", ");
      if (!sameFile) {
        boolean several = i + 1 < numbers.length && filesOf[i + 1] == filesOf[i];
        text.append(files.get(filesOf[i])).append(' ').append(unit).append(several ? "s " : " ");
      }
      text.append(numbers[i]);
    }
    return numbers.length > shown
        ? text.append(" and ").append(numbers.length - shown).append(" more").toString()
        : text.toString();
  }
}
