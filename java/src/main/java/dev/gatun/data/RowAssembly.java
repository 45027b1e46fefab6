package dev.gatun.data;

import java.util.List;
import java.util.function.IntFunction;

/// Puts tokenised rows into their final order and into packed rows.
///
/// @param ids token ids by row number
/// @param labels labels by row number
/// @param order row numbers in the order in which they are taken
record RowAssembly(IntFunction<int[]> ids, IntFunction<int[]> labels, int[] order) {

  HeapRows plain(RowSources sources) {
    int n = order.length;
    int[][] rowIds = new int[n][];
    int[][] rowLabels = new int[n][];
    int[][] lengths = new int[n][];
    int[][] numbers = new int[n][];
    int[][] files = new int[n][];
    long[][] prints = new long[n][];
    for (int i = 0; i < n; i++) {
      rowIds[i] = ids.apply(order[i]);
      rowLabels[i] = labels.apply(order[i]);
      lengths[i] = new int[] {rowIds[i].length};
      numbers[i] = sources.numbers()[order[i]];
      files[i] = sources.filesOf()[order[i]];
      prints[i] = sources.fingerprints()[order[i]];
    }
    return HeapRows.of(rowIds, rowLabels, lengths)
        .withSources(new RowSources(sources.files(), sources.unit(), numbers, files, prints));
  }

  HeapRows packed(int capacity, PackingStrategy strategy, RowSources sources) {
    int[] lengths = new int[order.length];
    for (int i = 0; i < order.length; i++) {
      lengths[i] = ids.apply(order[i]).length;
    }
    List<List<Packer.Piece>> bins = Packer.pack(lengths, capacity, strategy);
    int n = bins.size();
    int[][] rowIds = new int[n][];
    int[][] rowLabels = new int[n][];
    int[][] sequenceLengths = new int[n][];
    int[][] numbers = new int[n][];
    int[][] files = new int[n][];
    long[][] prints = new long[n][];
    for (int bin = 0; bin < n; bin++) {
      List<Packer.Piece> pieces = bins.get(bin);
      rowIds[bin] = join(pieces, ids);
      rowLabels[bin] = join(pieces, labels);
      sequenceLengths[bin] =
          strategy == PackingStrategy.WRAPPED
              ? new int[] {rowIds[bin].length}
              : pieces.stream().mapToInt(Packer.Piece::length).toArray();
      numbers[bin] = pieces.stream().mapToInt(p -> sources.numbers()[order[p.row()]][0]).toArray();
      files[bin] = pieces.stream().mapToInt(p -> sources.filesOf()[order[p.row()]][0]).toArray();
      prints[bin] =
          pieces.stream().mapToLong(p -> sources.fingerprints()[order[p.row()]][0]).toArray();
    }
    return HeapRows.of(rowIds, rowLabels, sequenceLengths)
        .withSources(new RowSources(sources.files(), sources.unit(), numbers, files, prints));
  }

  private int[] join(List<Packer.Piece> pieces, IntFunction<int[]> rows) {
    int[] joined = new int[pieces.stream().mapToInt(Packer.Piece::length).sum()];
    int start = 0;
    for (Packer.Piece piece : pieces) {
      int[] row = rows.apply(order[piece.row()]);
      System.arraycopy(row, piece.start(), joined, start, piece.length());
      start += piece.length();
    }
    return joined;
  }
}
