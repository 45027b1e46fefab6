package dev.gatun.data;

import java.util.Arrays;
import java.util.List;

/// Training rows in their final form: tokenised, labelled, cut and packed. Rows are addressed by
/// number; every method may be called from any thread. Arrays belong to the dataset or are copies;
/// the caller must not write to them.
///
/// Made by preparation of a dataset, or by [#of] from arrays. The caller closes it; a dataset on
/// the heap holds nothing to close.
public interface PreparedDataset extends AutoCloseable {
  /// Number of rows.
  int size();

  /// Token ids of a row.
  int[] inputIds(int row);

  /// Labels of a row, not shifted: `labels[t]` is the token id at `t`, or -100 where it is not
  /// trained.
  int[] labels(int row);

  /// Lengths of the samples in a row: they add up to the row's length, and tokens of different
  /// samples do not see each other. One entry for a row that was not packed, and for one packed by
  /// [PackingStrategy#WRAPPED].
  int[] sequenceLengths(int row);

  /// Where a row comes from, for messages and previews: `train.jsonl line 7`.
  String source(int row);

  /// Files that rows come from, as the caller named them, in order. A file that gave no row is not
  /// among them.
  List<String> files();

  /// Files of the source rows that went into a row, as indices into [#files]: one for each sample
  /// of the row, but under [PackingStrategy#WRAPPED] for each source row of which it has a part.
  int[] sourceFiles(int row);

  /// 64-bit hashes of the source rows that went into a row, by their tokens before any cut. Equal
  /// source rows have equal ones.
  long[] fingerprints(int row);

  /// What preparation did.
  PreparationReport report();

  /// Number of tokens in a row.
  default int length(int row) {
    return inputIds(row).length;
  }

  /// Number of targets in a row: labels that are not -100, the first of each sample not counted.
  default int targetCount(int row) {
    return PackedBatch.targetCount(labels(row), sequenceLengths(row));
  }

  /// Number of targets in each sample of a row; they add up to [#targetCount].
  default int[] targetCounts(int row) {
    int[] labels = labels(row);
    int[] counts = sequenceLengths(row).clone();
    int start = 0;
    for (int sample = 0; sample < counts.length; sample++) {
      int length = counts[sample];
      counts[sample] =
          PackedBatch.targetCount(
              Arrays.copyOfRange(labels, start, start + length), new int[] {length});
      start += length;
    }
    return counts;
  }

  /// Releases a mapped file.
  @Override
  void close();

  /// A dataset over arrays, which are not copied.
  ///
  /// @param inputIds rows
  /// @param labels rows of the same lengths
  /// @param sequenceLengths rows that add up to those lengths
  static PreparedDataset of(int[][] inputIds, int[][] labels, int[][] sequenceLengths) {
    return HeapRows.of(inputIds, labels, sequenceLengths);
  }
}
