package dev.gatun.data;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/// Where prepared rows come from.
///
/// @param files names of the data files
/// @param unit what numbers count: `line` or `row`
/// @param fileOf per prepared row: index of its first source row's file
/// @param numbers per prepared row: line or row numbers, counted from 1
/// @param fingerprints per prepared row: [Fingerprints] of those source rows
record RowSources(
    List<String> files, String unit, int[] fileOf, int[][] numbers, long[][] fingerprints) {
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
    return new RowSources(List.of("rows"), "row", new int[count], numbers, prints);
  }

  String describe(int row) {
    StringBuilder text = new StringBuilder();
    text.append(files.get(fileOf[row])).append(' ').append(unit);
    int[] all = numbers[row];
    text.append(all.length > 1 ? "s " : " ");
    for (int i = 0; i < Math.min(SHOWN, all.length); i++) {
      text.append(i == 0 ? "" : ", ").append(all[i]);
    }
    return all.length > SHOWN
        ? text.append(" and ").append(all.length - SHOWN).append(" more").toString()
        : text.toString();
  }
}
