package dev.gatun.data;

import java.util.Arrays;

/// One micro-batch without padding: the samples of its rows one after the other.
///
/// @param inputIds `[T]` token ids
/// @param positionIds `[T]` position of each token in its sample, from 0
/// @param labels `[T]` labels, not shifted; -100 is not trained. The label of the first token of a
///   sample has no meaning, since nothing predicts it: see [#targets]
/// @param sequenceLengths `[S]` lengths of the samples, which do not see each other
/// @param rowLengths `[rows]` lengths of the dataset rows; without packing the same as
///   `sequenceLengths`
public record PackedBatch(
    int[] inputIds, int[] positionIds, int[] labels, int[] sequenceLengths, int[] rowLengths) {
  /// Label of a token that is not trained.
  public static final int IGNORE_INDEX = -100;

  /// The loss of a batch: row `rows[i]` of the hidden states predicts token `labels[i]`.
  ///
  /// @param rows `[N]` ascending positions in the batch
  /// @param labels `[N]` token ids, never -100
  public record Targets(int[] rows, int[] labels) {
    /// Number of targets, TRL's share of `num_items_in_batch`.
    public int count() {
      return rows.length;
    }
  }

  /// Number of dataset rows.
  public int rows() {
    return rowLengths.length;
  }

  /// Number of tokens.
  public int tokens() {
    return inputIds.length;
  }

  /// Labels shifted by one within each sample, without those that are not trained.
  public Targets targets() {
    int[] rows = new int[inputIds.length];
    int[] shifted = new int[inputIds.length];
    int count = 0;
    int start = 0;
    for (int length : sequenceLengths) {
      for (int t = start + 1; t < start + length; t++) {
        if (labels[t] != IGNORE_INDEX) {
          rows[count] = t - 1;
          shifted[count++] = labels[t];
        }
      }
      start += length;
    }
    return new Targets(Arrays.copyOf(rows, count), Arrays.copyOf(shifted, count));
  }

  /// The count of [#targets] without making them.
  public int targetCount() {
    return targetCount(labels, sequenceLengths);
  }

  static int targetCount(int[] labels, int[] sequenceLengths) {
    int count = 0;
    int start = 0;
    for (int length : sequenceLengths) {
      for (int t = start + 1; t < start + length; t++) {
        count += labels[t] != IGNORE_INDEX ? 1 : 0;
      }
      start += length;
    }
    return count;
  }
}
