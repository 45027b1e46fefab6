package dev.gatun.data;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/// A batch as the tensors that TRL's collator hands to a model, for previews and comparisons. The
/// engine itself works on [PackedBatch].
///
/// @param inputIds `[B, T]`
/// @param labels `[B, T]`
/// @param positionIds `[B, T]`, null where TRL gives none
/// @param attentionMask `[B, T]` of 0 and 1, null where TRL gives none
public record BatchTensors(
    int[][] inputIds,
    int[][] labels,
    int @Nullable [][] positionIds,
    int @Nullable [][] attentionMask) {

  /// TRL's padding-free form: one row, and -100 at every position 0, so that no sample predicts the
  /// first token of the next.
  ///
  /// @param multiple length is padded on the right to a multiple of this; 1 for none
  public static BatchTensors flattened(PackedBatch batch, int padTokenId, int multiple) {
    int length = roundUp(batch.tokens(), multiple);
    int[] labels = padded(batch.labels(), 0, batch.tokens(), length, PackedBatch.IGNORE_INDEX);
    int[] positions = padded(batch.positionIds(), 0, batch.tokens(), length, 0);
    for (int t = 0; t < length; t++) {
      labels[t] = positions[t] == 0 ? PackedBatch.IGNORE_INDEX : labels[t];
    }
    int[] ids = padded(batch.inputIds(), 0, batch.tokens(), length, padTokenId);
    return new BatchTensors(new int[][] {ids}, new int[][] {labels}, new int[][] {positions}, null);
  }

  /// The ordinary form: one line per dataset row, padded on the right.
  ///
  /// @param withPositions whether position ids are asked for
  public static BatchTensors padded(
      PackedBatch batch, int padTokenId, int multiple, boolean withPositions) {
    int rows = batch.rows();
    int length = roundUp(Arrays.stream(batch.rowLengths()).max().orElse(0), multiple);
    int[][] ids = new int[rows][];
    int[][] labels = new int[rows][];
    int[][] positions = new int[rows][];
    int[][] mask = new int[rows][length];
    int start = 0;
    for (int row = 0; row < rows; row++) {
      int count = batch.rowLengths()[row];
      ids[row] = padded(batch.inputIds(), start, count, length, padTokenId);
      labels[row] = padded(batch.labels(), start, count, length, PackedBatch.IGNORE_INDEX);
      positions[row] = padded(batch.positionIds(), start, count, length, 0);
      Arrays.fill(mask[row], 0, count, 1);
      start += count;
    }
    return new BatchTensors(ids, labels, withPositions ? positions : null, mask);
  }

  private static int[] padded(int[] values, int from, int count, int length, int padding) {
    int[] line = Arrays.copyOf(Arrays.copyOfRange(values, from, from + count), length);
    Arrays.fill(line, count, length, padding);
    return line;
  }

  private static int roundUp(int length, int multiple) {
    return Math.multiplyExact(Math.ceilDiv(length, multiple), multiple);
  }
}
