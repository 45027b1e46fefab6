package dev.gatun.cpu;

import dev.gatun.op.AttentionOps;
import dev.gatun.tensor.Tensor;

/// The sizes of one attention call, where its sequences lie, and which keys a query sees.
final class AttentionCall {
  final int heads;
  final int keyHeads;
  final int headSize;

  /// Query heads that share one key head.
  final int group;

  final AttentionOps.Config config;
  final int sequences;
  private final Ints queryStart;
  private final Ints keyStart;
  private final Ints keyLength;

  AttentionCall(Tensor q, Tensor k, AttentionOps.Sequences sequences, AttentionOps.Config config) {
    if (q.shape().rank() != 3 || k.shape().rank() != 3) {
      throw new IllegalArgumentException(
          "attention takes [T, heads, D], not " + q.shape() + " and " + k.shape());
    }
    heads = Math.toIntExact(q.shape().dim(1));
    keyHeads = Math.toIntExact(k.shape().dim(1));
    headSize = Math.toIntExact(q.shape().dim(2));
    group = heads / keyHeads;
    if (group * keyHeads != heads || k.shape().dim(2) != headSize) {
      throw new IllegalArgumentException("queries " + q.shape() + " do not fit keys " + k.shape());
    }
    this.config = config;
    this.sequences = sequences.count();
    queryStart = Ints.of(sequences.queryStart());
    keyStart = Ints.of(sequences.keyStart());
    keyLength = Ints.of(sequences.keyLength());
    for (int s = 0; s < this.sequences; s++) {
      check(s, q.rows(), k.rows());
    }
  }

  private void check(int s, long queryRows, long keyRows) {
    Sequence sequence = sequence(s);
    boolean inside =
        sequence.query() >= 0
            && sequence.queries() >= 0
            && sequence.query() + (long) sequence.queries() <= queryRows
            && sequence.key() >= 0
            && sequence.key() + (long) sequence.keys() <= keyRows;
    if (!inside || sequence.keys() < sequence.queries()) {
      throw new IllegalArgumentException(
          "sequence %d of %d query and %d key rows: %s".formatted(s, queryRows, keyRows, sequence));
    }
  }

  Sequence sequence(int s) {
    int start = queryStart.at(s);
    return new Sequence(
        start, queryStart.at(s + 1) - start, keyStart.at(s), keyLength.at(s), config.window());
  }

  /// One sequence's rows. Its query `j` is its key `keys − queries + j`.
  ///
  /// @param query first query row
  /// @param key first key row
  record Sequence(int query, int queries, int key, int keys, int window) {
    /// The first key that query `j` sees.
    int firstKey(int j) {
      return window == 0 ? 0 : Math.max(0, endKey(j) - window);
    }

    /// One past the last key that query `j` sees.
    int endKey(int j) {
      return keys - queries + j + 1;
    }
  }
}
