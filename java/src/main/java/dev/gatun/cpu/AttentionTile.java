package dev.gatun.cpu;

import dev.gatun.cpu.kernel.Kernels;
import java.util.Arrays;

/// Loads pieces of `[rows, heads, D]` tensors into the forms that [Kernels#multiply] takes.
final class AttentionTile {
  /// Queries of a block.
  static final int QUERIES = 64;

  /// Keys of a block.
  static final int KEYS = 128;

  private AttentionTile() {}

  /// `count` rows of one head, row-major, zero rows up to a multiple of [Kernels#STRIP].
  static void rows(float[] target, Rows source, int row, int count, int head, int size) {
    for (int i = 0; i < count; i++) {
      source.read(row + i, (long) head * size, size, target, i * size);
    }
    Arrays.fill(target, count * size, Kernels.padded(count, Kernels.STRIP) * size, 0);
  }

  /// Row-major rows as a packed factor `[count, size]`.
  static void pack(float[] packed, float[] rows, int count, int size, float[] line) {
    int padded = Kernels.padded(size, Kernels.PANEL);
    Arrays.fill(line, size, padded, 0);
    for (int i = 0; i < count; i++) {
      System.arraycopy(rows, i * size, line, 0, size);
      Panels.scatterRow(packed, 0, line, 0, padded, i, count);
    }
  }

  /// Row-major rows as a packed factor `[size, count]`.
  static void packTransposed(float[] packed, float[] rows, int count, int size) {
    for (int panel = 0; panel < count; panel += Kernels.PANEL) {
      int width = Math.min(Kernels.PANEL, count - panel);
      int at = panel * size;
      for (int d = 0; d < size; d++) {
        int to = at + d * Kernels.PANEL;
        for (int j = 0; j < width; j++) {
          packed[to + j] = rows[(panel + j) * size + d];
        }
        Arrays.fill(packed, to + width, to + Kernels.PANEL, 0);
      }
    }
  }

  /// The transpose of `rows` by `cols` values `step` apart, zero rows up to a multiple of
  /// [Kernels#STRIP].
  static void transpose(float[] target, float[] source, int rows, int cols, int step) {
    for (int i = 0; i < rows; i++) {
      for (int j = 0; j < cols; j++) {
        target[j * rows + i] = source[i * step + j];
      }
    }
    Arrays.fill(target, cols * rows, Kernels.padded(cols, Kernels.STRIP) * rows, 0);
  }

  /// `c·tanh(x/c)` of scaled scores; `cap` 0 leaves them.
  static void scale(float[] scores, int from, int count, float scale, float cap) {
    for (int i = from; i < from + count; i++) {
      scores[i] *= scale;
    }
    if (cap != 0) {
      for (int i = from; i < from + count; i++) {
        scores[i] = (float) (cap * Math.tanh(scores[i] / (double) cap));
      }
    }
  }
}
