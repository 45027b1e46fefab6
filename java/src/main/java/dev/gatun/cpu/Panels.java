package dev.gatun.cpu;

import dev.gatun.cpu.kernel.Kernels;

/// Packing into the panels that [Kernels#multiply] takes.
final class Panels {
  private Panels() {}

  /// Writes one panel whose columns are [Kernels#PANEL] consecutive lines of `depth` values.
  static void transpose(float[] packed, int at, float[] lines, int depth) {
    // Squares of 16 keep both sides in the cache's lines.
    for (int d0 = 0; d0 < depth; d0 += 16) {
      int end = Math.min(depth, d0 + 16);
      for (int j = 0; j < Kernels.PANEL; j++) {
        int from = j * depth;
        for (int d = d0; d < end; d++) {
          packed[at + d * Kernels.PANEL + j] = lines[from + d];
        }
      }
    }
  }

  /// Writes row `d` of all panels of a block of `depth` rows: `padded` values of `line`.
  static void scatterRow(
      float[] packed, int at, float[] line, int from, int padded, int d, int depth) {
    for (int panel = 0; panel < padded; panel += Kernels.PANEL) {
      System.arraycopy(
          line, from + panel, packed, at + panel * depth + d * Kernels.PANEL, Kernels.PANEL);
    }
  }
}
