package dev.gatun.cpu;

import dev.gatun.cpu.AttentionCall.Sequence;
import dev.gatun.cpu.kernel.Kernels;
import dev.gatun.cpu.kernel.Kernels.Tile;
import java.util.Arrays;

/// One block of queries of one sequence and one key head: keys pass by in blocks under a running
/// maximum ("FlashAttention", Dao et al., 2022), shared by the query heads of the group.
final class AttentionForward {
  private static final int SLOT_QUERIES = 0;
  private static final int SLOT_SCORES = 1;
  private static final int SLOT_ROWS = 2;
  private static final int SLOT_KEYS = 3;
  private static final int SLOT_VALUES = 4;
  private static final int SLOT_SUMS = 5;
  private static final int SLOT_LINE = 6;
  private static final int SLOT_LARGEST = 7;

  private final AttentionCall call;
  private final Kernels kernels;
  private final Rows out;
  private final Floats logSumExp;
  private final Rows q;
  private final Rows k;
  private final Rows v;
  private final int size;
  private final int padded;

  AttentionForward(
      AttentionCall call, Kernels kernels, Rows out, Floats logSumExp, Rows q, Rows k, Rows v) {
    this.call = call;
    this.kernels = kernels;
    this.out = out;
    this.logSumExp = logSumExp;
    this.q = q;
    this.k = k;
    this.v = v;
    size = call.headSize;
    padded = Kernels.padded(size, Kernels.PANEL);
  }

  /// The state of a block between key blocks: per query head and query the running maximum, the sum
  /// of exponentials and the weighted sum of values.
  private record State(float[] largest, double[] sums, float[] values) {}

  void run(Workspace workspace, Sequence sequence, int keyHead, int first) {
    int queries = Math.min(AttentionTile.QUERIES, sequence.queries() - first);
    int strips = Kernels.padded(queries, Kernels.STRIP);
    State state =
        new State(
            workspace.floats(SLOT_LARGEST, call.group * strips),
            new double[call.group * strips],
            workspace.floats(SLOT_SUMS, call.group * strips * padded));
    Arrays.fill(state.largest(), 0, call.group * strips, Float.NEGATIVE_INFINITY);
    Arrays.fill(state.values(), 0, call.group * strips * padded, 0);
    int begin = sequence.firstKey(first);
    int end = sequence.endKey(first + queries - 1);
    for (int key = begin; key < end; key += AttentionTile.KEYS) {
      int keys = Math.min(AttentionTile.KEYS, end - key);
      loadKeys(workspace, sequence.key() + key, keys, keyHead);
      for (int g = 0; g < call.group; g++) {
        int head = keyHead * call.group + g;
        addKeys(workspace, sequence, new Block(first, queries, key, keys), head, g * strips, state);
      }
    }
    for (int g = 0; g < call.group; g++) {
      finish(sequence.query() + first, queries, keyHead * call.group + g, g * strips, state);
    }
  }

  private void loadKeys(Workspace workspace, int row, int keys, int keyHead) {
    float[] rows = workspace.floats(SLOT_ROWS, AttentionTile.KEYS * size);
    float[] line = workspace.floats(SLOT_LINE, padded);
    AttentionTile.rows(rows, k, row, keys, keyHead, size);
    AttentionTile.packTransposed(
        workspace.floats(SLOT_KEYS, AttentionTile.KEYS * size), rows, keys, size);
    AttentionTile.rows(rows, v, row, keys, keyHead, size);
    AttentionTile.pack(
        workspace.floats(SLOT_VALUES, AttentionTile.KEYS * padded), rows, keys, size, line);
  }

  private record Block(int first, int queries, int key, int keys) {}

  private void addKeys(
      Workspace workspace, Sequence sequence, Block block, int head, int slot, State state) {
    int strips = Kernels.padded(block.queries(), Kernels.STRIP);
    int step = Kernels.padded(block.keys(), Kernels.PANEL);
    float[] rows = workspace.floats(SLOT_QUERIES, AttentionTile.QUERIES * size);
    float[] scores = workspace.floats(SLOT_SCORES, AttentionTile.QUERIES * AttentionTile.KEYS);
    AttentionTile.rows(rows, q, sequence.query() + block.first(), block.queries(), head, size);
    Arrays.fill(scores, 0, strips * step, 0);
    kernels.multiply(
        scores,
        rows,
        workspace.floats(SLOT_KEYS, 0),
        new Tile(strips, block.keys(), size, step, size));
    for (int i = 0; i < block.queries(); i++) {
      int j = block.first() + i;
      int from = Math.clamp(sequence.firstKey(j) - block.key(), 0, block.keys());
      int to = Math.min(block.keys(), sequence.endKey(j) - block.key());
      weigh(scores, i * step, from, Math.max(from, to), block.keys(), slot + i, state);
    }
    multiplyValues(workspace, block, scores, step, slot, state);
  }

  private void multiplyValues(
      Workspace workspace, Block block, float[] scores, int step, int slot, State state) {
    // The kernel addresses its target from 0: heads after the first go through a copy.
    int strips = Kernels.padded(block.queries(), Kernels.STRIP);
    float[] sums = workspace.floats(SLOT_ROWS, AttentionTile.QUERIES * padded);
    System.arraycopy(state.values(), slot * padded, sums, 0, strips * padded);
    Tile tile = new Tile(strips, size, block.keys(), padded, step);
    kernels.multiply(sums, scores, workspace.floats(SLOT_VALUES, 0), tile);
    System.arraycopy(sums, 0, state.values(), slot * padded, strips * padded);
  }

  // Turns visible scores of one row into exponentials, others into 0, and rescales what is there.
  private void weigh(float[] scores, int at, int from, int to, int keys, int slot, State state) {
    Arrays.fill(scores, at, at + from, 0);
    Arrays.fill(scores, at + to, at + keys, 0);
    if (from == to) {
      return;
    }
    AttentionTile.scale(scores, at + from, to - from, call.config.scale(), call.config.softcap());
    float before = state.largest()[slot];
    float largest = Math.max(before, kernels.max(scores, at + from, to - from));
    double sum = kernels.expSum(scores, at + from, to - from, largest);
    if (largest != before) {
      float shrink = (float) Math.exp((double) before - largest);
      for (int d = slot * padded; d < (slot + 1) * padded; d++) {
        state.values()[d] *= shrink;
      }
      state.sums()[slot] *= shrink;
      state.largest()[slot] = largest;
    }
    state.sums()[slot] += sum;
  }

  private void finish(int row, int queries, int head, int slot, State state) {
    for (int i = 0; i < queries; i++) {
      double sum = state.sums()[slot + i];
      float inverse = (float) (1 / sum);
      int at = (slot + i) * padded;
      for (int d = at; d < at + size; d++) {
        state.values()[d] *= inverse;
      }
      out.write(row + i, (long) head * size, size, state.values(), at);
      logSumExp.set(
          (long) (row + i) * call.heads + head,
          (float) (state.largest()[slot + i] + Math.log(sum)));
    }
  }
}
