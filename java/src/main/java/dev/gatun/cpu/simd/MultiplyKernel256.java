package dev.gatun.cpu.simd;

import dev.gatun.cpu.kernel.Kernels;
import dev.gatun.cpu.kernel.Kernels.Tile;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/// The block product with 256-bit vectors: 4 rows by 2 vectors of sums fit 16 registers.
final class MultiplyKernel256 {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_256;
  private static final int LANES = 8;
  private static final int ROWS = 4;

  private MultiplyKernel256() {}

  static void multiply(float[] c, float[] a, float[] b, Tile tile) {
    for (int j = 0; j < tile.cols(); j += 2 * LANES) {
      int panel = j / Kernels.PANEL * Kernels.PANEL * tile.depth() + j % Kernels.PANEL;
      for (int i = 0; i < tile.rows(); i += ROWS) {
        wide(c, i * tile.cStep() + j, a, i * tile.aStep(), b, panel, tile);
      }
    }
  }

  // 4 rows by half a panel.
  private static void wide(float[] c, int cAt, float[] a, int aAt, float[] b, int bAt, Tile tile) {
    int step = tile.aStep();
    int depth = tile.depth();
    int a0 = aAt;
    int a1 = aAt + 1 * step;
    int a2 = aAt + 2 * step;
    int a3 = aAt + 3 * step;
    FloatVector c00 = FloatVector.zero(SPECIES);
    FloatVector c01 = FloatVector.zero(SPECIES);
    FloatVector c10 = FloatVector.zero(SPECIES);
    FloatVector c11 = FloatVector.zero(SPECIES);
    FloatVector c20 = FloatVector.zero(SPECIES);
    FloatVector c21 = FloatVector.zero(SPECIES);
    FloatVector c30 = FloatVector.zero(SPECIES);
    FloatVector c31 = FloatVector.zero(SPECIES);
    for (int k = 0; k < depth; k++) {
      FloatVector b0 = FloatVector.fromArray(SPECIES, b, bAt + k * Kernels.PANEL);
      FloatVector b1 = FloatVector.fromArray(SPECIES, b, bAt + k * Kernels.PANEL + LANES);
      FloatVector f0 = FloatVector.broadcast(SPECIES, a[a0 + k]);
      c00 = f0.fma(b0, c00);
      c01 = f0.fma(b1, c01);
      FloatVector f1 = FloatVector.broadcast(SPECIES, a[a1 + k]);
      c10 = f1.fma(b0, c10);
      c11 = f1.fma(b1, c11);
      FloatVector f2 = FloatVector.broadcast(SPECIES, a[a2 + k]);
      c20 = f2.fma(b0, c20);
      c21 = f2.fma(b1, c21);
      FloatVector f3 = FloatVector.broadcast(SPECIES, a[a3 + k]);
      c30 = f3.fma(b0, c30);
      c31 = f3.fma(b1, c31);
    }
    int s = tile.cStep();
    FloatVector.fromArray(SPECIES, c, cAt).add(c00).intoArray(c, cAt);
    FloatVector.fromArray(SPECIES, c, cAt + LANES).add(c01).intoArray(c, cAt + LANES);
    FloatVector.fromArray(SPECIES, c, cAt + 1 * s).add(c10).intoArray(c, cAt + 1 * s);
    FloatVector.fromArray(SPECIES, c, cAt + 1 * s + LANES)
        .add(c11)
        .intoArray(c, cAt + 1 * s + LANES);
    FloatVector.fromArray(SPECIES, c, cAt + 2 * s).add(c20).intoArray(c, cAt + 2 * s);
    FloatVector.fromArray(SPECIES, c, cAt + 2 * s + LANES)
        .add(c21)
        .intoArray(c, cAt + 2 * s + LANES);
    FloatVector.fromArray(SPECIES, c, cAt + 3 * s).add(c30).intoArray(c, cAt + 3 * s);
    FloatVector.fromArray(SPECIES, c, cAt + 3 * s + LANES)
        .add(c31)
        .intoArray(c, cAt + 3 * s + LANES);
  }
}
