package dev.gatun.cpu;

import dev.gatun.cpu.AttentionCall.Sequence;
import dev.gatun.cpu.kernel.Kernels;
import dev.gatun.cpu.kernel.Kernels.Tile;
import java.util.Arrays;

/// Gradients of one sequence and one key head. Probabilities are computed again from the saved
/// log-sum-exp, key block by key block; `dq` gathers over key blocks in order, `dk` and `dv` over
/// query heads and query blocks in order.
final class AttentionBackward {
  private static final int SLOT_QUERIES = 0;
  private static final int SLOT_SCORES = 1;
  private static final int SLOT_ROWS = 2;
  private static final int SLOT_KEYS_TRANSPOSED = 3;
  private static final int SLOT_KEYS = 4;
  private static final int SLOT_VALUES_TRANSPOSED = 5;
  private static final int SLOT_LINE = 6;
  private static final int SLOT_DKEYS = 7;
  private static final int SLOT_DVALUES = 8;
  private static final int SLOT_DOUT = 9;
  private static final int SLOT_DSCORES = 10;
  private static final int SLOT_PACKED = 11;

  /// The tensors of a call.
  record Tensors(
      Rows dq, Rows dk, Rows dv, Rows dout, Rows q, Rows k, Rows v, Rows out, Floats logSumExp) {}

  private record Block(int first, int queries, int key, int keys) {
    int strips() {
      return Kernels.padded(queries, Kernels.STRIP);
    }

    int step() {
      return Kernels.padded(keys, Kernels.PANEL);
    }
  }

  private final AttentionCall call;
  private final Kernels kernels;
  private final Tensors tensors;
  private final int size;
  private final int padded;

  AttentionBackward(AttentionCall call, Kernels kernels, Tensors tensors) {
    this.call = call;
    this.kernels = kernels;
    this.tensors = tensors;
    size = call.headSize;
    padded = Kernels.padded(size, Kernels.PANEL);
  }

  void run(Workspace workspace, Sequence sequence, int keyHead) {
    zeroQueries(workspace, sequence, keyHead);
    // Keys before the first query's window are seen by nobody, but their gradient is still written.
    for (int key = 0; key < sequence.keys(); key += AttentionTile.KEYS) {
      int keys = Math.min(AttentionTile.KEYS, sequence.keys() - key);
      loadKeys(workspace, sequence.key() + key, keys, keyHead);
      int strips = Kernels.padded(keys, Kernels.STRIP);
      Arrays.fill(workspace.floats(SLOT_DKEYS, AttentionTile.KEYS * padded), 0, strips * padded, 0);
      Arrays.fill(
          workspace.floats(SLOT_DVALUES, AttentionTile.KEYS * padded), 0, strips * padded, 0);
      for (int g = 0; g < call.group; g++) {
        for (int first = 0; first < sequence.queries(); first += AttentionTile.QUERIES) {
          int queries = Math.min(AttentionTile.QUERIES, sequence.queries() - first);
          boolean meets =
              sequence.endKey(first + queries - 1) > key && sequence.firstKey(first) < key + keys;
          if (meets) {
            block(
                workspace,
                sequence,
                new Block(first, queries, key, keys),
                keyHead * call.group + g);
          }
        }
      }
      for (int i = 0; i < keys; i++) {
        int row = sequence.key() + key + i;
        long from = (long) keyHead * size;
        tensors.dk().write(row, from, size, workspace.floats(SLOT_DKEYS, 0), i * padded);
        tensors.dv().write(row, from, size, workspace.floats(SLOT_DVALUES, 0), i * padded);
      }
    }
  }

  private void zeroQueries(Workspace workspace, Sequence sequence, int keyHead) {
    int width = call.group * size;
    float[] zeros = workspace.floats(SLOT_LINE, width);
    Arrays.fill(zeros, 0, width, 0);
    for (int i = 0; i < sequence.queries(); i++) {
      tensors.dq().write(sequence.query() + i, (long) keyHead * width, width, zeros, 0);
    }
  }

  private void loadKeys(Workspace workspace, int row, int keys, int keyHead) {
    float[] rows = workspace.floats(SLOT_ROWS, AttentionTile.KEYS * padded);
    float[] line = workspace.floats(SLOT_LINE, padded);
    AttentionTile.rows(rows, tensors.k(), row, keys, keyHead, size);
    AttentionTile.packTransposed(
        workspace.floats(SLOT_KEYS_TRANSPOSED, AttentionTile.KEYS * size), rows, keys, size);
    AttentionTile.pack(
        workspace.floats(SLOT_KEYS, AttentionTile.KEYS * padded), rows, keys, size, line);
    AttentionTile.rows(rows, tensors.v(), row, keys, keyHead, size);
    AttentionTile.packTransposed(
        workspace.floats(SLOT_VALUES_TRANSPOSED, AttentionTile.KEYS * size), rows, keys, size);
  }

  private void block(Workspace workspace, Sequence sequence, Block block, int head) {
    int row = sequence.query() + block.first();
    int area = AttentionTile.QUERIES * AttentionTile.KEYS;
    float[] queries = workspace.floats(SLOT_QUERIES, AttentionTile.QUERIES * size);
    float[] douts = workspace.floats(SLOT_DOUT, AttentionTile.QUERIES * size);
    float[] scores = workspace.floats(SLOT_SCORES, area);
    float[] dscores = workspace.floats(SLOT_DSCORES, area);
    AttentionTile.rows(queries, tensors.q(), row, block.queries(), head, size);
    AttentionTile.rows(douts, tensors.dout(), row, block.queries(), head, size);
    product(scores, queries, workspace.floats(SLOT_KEYS_TRANSPOSED, 0), block);
    product(dscores, douts, workspace.floats(SLOT_VALUES_TRANSPOSED, 0), block);
    float[] outs = workspace.floats(SLOT_LINE, size);
    for (int i = 0; i < block.queries(); i++) {
      tensors.out().read(row + i, (long) head * size, size, outs, 0);
      float delta = kernels.dot(outs, 0, douts, i * size, size);
      float logSum = tensors.logSumExp().at((long) (row + i) * call.heads + head);
      int j = block.first() + i;
      int from = Math.clamp(sequence.firstKey(j) - block.key(), 0, block.keys());
      int to = Math.min(block.keys(), sequence.endKey(j) - block.key());
      slope(
          scores, dscores, i * block.step(), from, Math.max(from, to), block.keys(), logSum, delta);
    }
    addKeyGradients(workspace, block, scores, douts, SLOT_DVALUES);
    addKeyGradients(workspace, block, dscores, queries, SLOT_DKEYS);
    addQueryGradients(workspace, block, dscores, row, head);
  }

  private void product(float[] target, float[] rows, float[] packed, Block block) {
    Arrays.fill(target, 0, block.strips() * block.step(), 0);
    kernels.multiply(
        target, rows, packed, new Tile(block.strips(), block.keys(), size, block.step(), size));
  }

  // Scores become probabilities, their upstream gradients those of the raw products.
  private void slope(
      float[] scores,
      float[] dscores,
      int at,
      int from,
      int to,
      int keys,
      float logSum,
      float delta) {
    Arrays.fill(dscores, at, at + from, 0);
    Arrays.fill(dscores, at + to, at + keys, 0);
    Arrays.fill(scores, at, at + from, 0);
    Arrays.fill(scores, at + to, at + keys, 0);
    float scale = call.config.scale();
    float cap = call.config.softcap();
    AttentionTile.scale(scores, at + from, to - from, scale, cap);
    for (int i = at + from; i < at + to; i++) {
      dscores[i] = (dscores[i] - delta) * scale;
    }
    if (cap != 0) {
      for (int i = at + from; i < at + to; i++) {
        float ratio = scores[i] / cap;
        dscores[i] *= 1 - ratio * ratio;
      }
    }
    kernels.expSum(scores, at + from, to - from, logSum);
    for (int i = at + from; i < at + to; i++) {
      dscores[i] *= scores[i];
    }
  }

  // target[key] += Σ_query weights[query][key]·rows[query].
  private void addKeyGradients(
      Workspace workspace, Block block, float[] weights, float[] rows, int slot) {
    float[] packed = workspace.floats(SLOT_PACKED, AttentionTile.QUERIES * padded);
    AttentionTile.pack(packed, rows, block.queries(), size, workspace.floats(SLOT_LINE, padded));
    float[] transposed =
        workspace.floats(SLOT_ROWS, AttentionTile.KEYS * Math.max(padded, AttentionTile.QUERIES));
    AttentionTile.transpose(transposed, weights, block.queries(), block.keys(), block.step());
    int strips = Kernels.padded(block.keys(), Kernels.STRIP);
    kernels.multiply(
        workspace.floats(slot, 0),
        transposed,
        packed,
        new Tile(strips, size, block.queries(), padded, block.queries()));
  }

  private void addQueryGradients(
      Workspace workspace, Block block, float[] dscores, int row, int head) {
    float[] sums = workspace.floats(SLOT_PACKED, AttentionTile.QUERIES * padded);
    long from = (long) head * size;
    Arrays.fill(sums, 0, block.strips() * padded, 0);
    for (int i = 0; i < block.queries(); i++) {
      tensors.dq().read(row + i, from, size, sums, i * padded);
    }
    kernels.multiply(
        sums,
        dscores,
        workspace.floats(SLOT_KEYS, 0),
        new Tile(block.strips(), size, block.keys(), padded, block.step()));
    for (int i = 0; i < block.queries(); i++) {
      tensors.dq().write(row + i, from, size, sums, i * padded);
    }
  }
}
