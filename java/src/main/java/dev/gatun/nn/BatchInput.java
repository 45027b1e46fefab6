package dev.gatun.nn;

import dev.gatun.op.LossOps;
import java.util.Arrays;

/// A packed batch in host memory: sequences one after the other, without padding.
///
/// @param inputIds token ids `[T]`
/// @param positionIds position of every token `[T]`; they usually restart with every sequence
/// @param sequenceLengths `[S]`, summing to `T`; nothing is attended to across sequences
/// @param targetRows ascending rows that are trained
/// @param targetLabels what each of those rows is to predict
public record BatchInput(
    int[] inputIds,
    int[] positionIds,
    int[] sequenceLengths,
    int[] targetRows,
    int[] targetLabels) {

  public BatchInput {
    if (Arrays.stream(sequenceLengths).anyMatch(length -> length < 1)) {
      throw new IllegalArgumentException("a sequence without tokens");
    }
    if (positionIds.length != inputIds.length
        || Arrays.stream(sequenceLengths).asLongStream().sum() != inputIds.length
        || targetRows.length != targetLabels.length) {
      throw new IllegalArgumentException(
          "%d ids, %d positions, sequences of %d tokens, %d rows for %d labels"
              .formatted(
                  inputIds.length,
                  positionIds.length,
                  Arrays.stream(sequenceLengths).asLongStream().sum(),
                  targetRows.length,
                  targetLabels.length));
    }
  }

  /// A batch whose positions restart with every sequence and whose labels lie beside the ids, as
  /// checkpoints are trained: row `t` predicts `labels[t+1]`, never across a sequence's end, and
  /// labels of -100 are not trained on.
  public static BatchInput ofLabels(int[] inputIds, int[] sequenceLengths, int[] labels) {
    int[] positions = new int[inputIds.length];
    int[] rows = new int[inputIds.length];
    int[] targets = new int[inputIds.length];
    int start = 0;
    int count = 0;
    for (int length : sequenceLengths) {
      for (int i = 0; i < length; i++) {
        positions[start + i] = i;
        if (i + 1 < length && labels[start + i + 1] != LossOps.IGNORE_INDEX) {
          rows[count] = start + i;
          targets[count++] = labels[start + i + 1];
        }
      }
      start += length;
    }
    return new BatchInput(
        inputIds,
        positions,
        sequenceLengths,
        Arrays.copyOf(rows, count),
        Arrays.copyOf(targets, count));
  }

  /// Number of tokens.
  public int tokens() {
    return inputIds.length;
  }
}
