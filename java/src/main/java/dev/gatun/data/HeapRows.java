package dev.gatun.data;

import dev.gatun.InputException;
import java.util.Arrays;
import java.util.List;

/// Prepared rows in heap arrays.
///
/// @param inputIds rows of token ids
/// @param labels rows of labels; the same array as the ids where every token is trained
/// @param sequenceLengths rows of sample lengths
/// @param sources where the rows come from
/// @param report what preparation did
record HeapRows(
    int[][] inputIds,
    int[][] labels,
    int[][] sequenceLengths,
    RowSources sources,
    PreparationReport report)
    implements PreparedDataset {

  static HeapRows of(int[][] inputIds, int[][] labels, int[][] sequenceLengths) {
    long tokens = 0;
    long targets = 0;
    long sequences = 0;
    for (int row = 0; row < inputIds.length; row++) {
      int length = inputIds[row].length;
      if (labels[row].length != length || Arrays.stream(sequenceLengths[row]).sum() != length) {
        throw new InputException(
            "Row %d: input_ids has %d entries, labels %d, and seq_lengths add up to %d."
                .formatted(
                    row, length, labels[row].length, Arrays.stream(sequenceLengths[row]).sum()));
      }
      tokens += length;
      sequences += sequenceLengths[row].length;
      targets += PackedBatch.targetCount(labels[row], sequenceLengths[row]);
    }
    int longest = Arrays.stream(inputIds).mapToInt(ids -> ids.length).max().orElse(0);
    int n = inputIds.length;
    PreparationReport report =
        new PreparationReport(
            n,
            n,
            sequences,
            tokens,
            targets,
            longest,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            DataFigures.none(),
            List.of());
    return new HeapRows(inputIds, labels, sequenceLengths, RowSources.numbered(inputIds), report);
  }

  HeapRows withSources(RowSources other) {
    return new HeapRows(inputIds, labels, sequenceLengths, other, report);
  }

  HeapRows withReport(PreparationReport other) {
    return new HeapRows(inputIds, labels, sequenceLengths, sources, other);
  }

  @Override
  public int size() {
    return inputIds.length;
  }

  @Override
  public int[] inputIds(int row) {
    return inputIds[row];
  }

  @Override
  public int[] labels(int row) {
    return labels[row];
  }

  @Override
  public int[] sequenceLengths(int row) {
    return sequenceLengths[row];
  }

  @Override
  public String source(int row) {
    return sources.describe(row);
  }

  @Override
  public List<String> files() {
    return sources.files();
  }

  @Override
  public int[] sourceFiles(int row) {
    return sources.filesOf()[row];
  }

  @Override
  public long[] fingerprints(int row) {
    return sources.fingerprints()[row];
  }

  @Override
  public void close() {
    // Heap arrays only.
  }
}
