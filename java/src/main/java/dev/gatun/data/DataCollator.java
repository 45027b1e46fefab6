package dev.gatun.data;

import java.util.Arrays;

/// Joins dataset rows to a micro-batch.
public final class DataCollator {
  private DataCollator() {}

  /// The rows' samples one after the other, each with positions from 0.
  ///
  /// @param rows row numbers, in the order in which they are joined
  public static PackedBatch collate(PreparedDataset dataset, int... rows) {
    int[] rowLengths = Arrays.stream(rows).map(dataset::length).toArray();
    int tokens = Arrays.stream(rowLengths).reduce(0, Math::addExact);
    int[] inputIds = new int[tokens];
    int[] labels = new int[tokens];
    int start = 0;
    for (int i = 0; i < rows.length; i++) {
      System.arraycopy(dataset.inputIds(rows[i]), 0, inputIds, start, rowLengths[i]);
      System.arraycopy(dataset.labels(rows[i]), 0, labels, start, rowLengths[i]);
      start += rowLengths[i];
    }
    int[] sequenceLengths =
        Arrays.stream(rows).flatMap(row -> Arrays.stream(dataset.sequenceLengths(row))).toArray();
    return new PackedBatch(
        inputIds, positions(sequenceLengths, tokens), labels, sequenceLengths, rowLengths);
  }

  private static int[] positions(int[] sequenceLengths, int tokens) {
    int[] positions = new int[tokens];
    int start = 0;
    for (int length : sequenceLengths) {
      for (int t = 0; t < length; t++) {
        positions[start + t] = t;
      }
      start += length;
    }
    return positions;
  }
}
