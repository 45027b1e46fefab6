package dev.gatun.cpu.simd;

import dev.gatun.cpu.kernel.Kernels;
import dev.gatun.cpu.kernel.Kernels.Tile;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/// The block product with 512-bit vectors: 8 rows by 2 vectors of sums stay in registers. Written
/// out, because a helper that takes vectors and is not inlined boxes every one of them.
final class MultiplyKernel512 {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_512;
  private static final int LANES = 16;
  private static final int ROWS = 8;

  private MultiplyKernel512() {}

  static void multiply(float[] c, float[] a, float[] b, Tile tile) {
    for (int j = 0; j < tile.cols(); j += 2 * LANES) {
      int panel = j * tile.depth();
      for (int i = 0; i < tile.rows(); i += ROWS) {
        if (tile.cols() - j <= LANES) {
          narrow(c, i * tile.cStep() + j, a, i * tile.aStep(), b, panel, tile);
        } else {
          wide(c, i * tile.cStep() + j, a, i * tile.aStep(), b, panel, tile);
        }
      }
    }
  }

  // A strip of 8 rows by one panel.
  private static void wide(float[] c, int cAt, float[] a, int aAt, float[] b, int bAt, Tile tile) {
    int step = tile.aStep();
    int depth = tile.depth();
    int a0 = aAt;
    int a1 = aAt + 1 * step;
    int a2 = aAt + 2 * step;
    int a3 = aAt + 3 * step;
    int a4 = aAt + 4 * step;
    int a5 = aAt + 5 * step;
    int a6 = aAt + 6 * step;
    int a7 = aAt + 7 * step;
    FloatVector c00 = FloatVector.zero(SPECIES);
    FloatVector c01 = FloatVector.zero(SPECIES);
    FloatVector c10 = FloatVector.zero(SPECIES);
    FloatVector c11 = FloatVector.zero(SPECIES);
    FloatVector c20 = FloatVector.zero(SPECIES);
    FloatVector c21 = FloatVector.zero(SPECIES);
    FloatVector c30 = FloatVector.zero(SPECIES);
    FloatVector c31 = FloatVector.zero(SPECIES);
    FloatVector c40 = FloatVector.zero(SPECIES);
    FloatVector c41 = FloatVector.zero(SPECIES);
    FloatVector c50 = FloatVector.zero(SPECIES);
    FloatVector c51 = FloatVector.zero(SPECIES);
    FloatVector c60 = FloatVector.zero(SPECIES);
    FloatVector c61 = FloatVector.zero(SPECIES);
    FloatVector c70 = FloatVector.zero(SPECIES);
    FloatVector c71 = FloatVector.zero(SPECIES);
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
      FloatVector f4 = FloatVector.broadcast(SPECIES, a[a4 + k]);
      c40 = f4.fma(b0, c40);
      c41 = f4.fma(b1, c41);
      FloatVector f5 = FloatVector.broadcast(SPECIES, a[a5 + k]);
      c50 = f5.fma(b0, c50);
      c51 = f5.fma(b1, c51);
      FloatVector f6 = FloatVector.broadcast(SPECIES, a[a6 + k]);
      c60 = f6.fma(b0, c60);
      c61 = f6.fma(b1, c61);
      FloatVector f7 = FloatVector.broadcast(SPECIES, a[a7 + k]);
      c70 = f7.fma(b0, c70);
      c71 = f7.fma(b1, c71);
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
    FloatVector.fromArray(SPECIES, c, cAt + 4 * s).add(c40).intoArray(c, cAt + 4 * s);
    FloatVector.fromArray(SPECIES, c, cAt + 4 * s + LANES)
        .add(c41)
        .intoArray(c, cAt + 4 * s + LANES);
    FloatVector.fromArray(SPECIES, c, cAt + 5 * s).add(c50).intoArray(c, cAt + 5 * s);
    FloatVector.fromArray(SPECIES, c, cAt + 5 * s + LANES)
        .add(c51)
        .intoArray(c, cAt + 5 * s + LANES);
    FloatVector.fromArray(SPECIES, c, cAt + 6 * s).add(c60).intoArray(c, cAt + 6 * s);
    FloatVector.fromArray(SPECIES, c, cAt + 6 * s + LANES)
        .add(c61)
        .intoArray(c, cAt + 6 * s + LANES);
    FloatVector.fromArray(SPECIES, c, cAt + 7 * s).add(c70).intoArray(c, cAt + 7 * s);
    FloatVector.fromArray(SPECIES, c, cAt + 7 * s + LANES)
        .add(c71)
        .intoArray(c, cAt + 7 * s + LANES);
  }

  // The first half of a panel: blocks of at most 16 columns, low ranks above all.
  private static void narrow(
      float[] c, int cAt, float[] a, int aAt, float[] b, int bAt, Tile tile) {
    int step = tile.aStep();
    int depth = tile.depth();
    int a0 = aAt;
    int a1 = aAt + 1 * step;
    int a2 = aAt + 2 * step;
    int a3 = aAt + 3 * step;
    int a4 = aAt + 4 * step;
    int a5 = aAt + 5 * step;
    int a6 = aAt + 6 * step;
    int a7 = aAt + 7 * step;
    FloatVector c00 = FloatVector.zero(SPECIES);
    FloatVector c10 = FloatVector.zero(SPECIES);
    FloatVector c20 = FloatVector.zero(SPECIES);
    FloatVector c30 = FloatVector.zero(SPECIES);
    FloatVector c40 = FloatVector.zero(SPECIES);
    FloatVector c50 = FloatVector.zero(SPECIES);
    FloatVector c60 = FloatVector.zero(SPECIES);
    FloatVector c70 = FloatVector.zero(SPECIES);
    for (int k = 0; k < depth; k++) {
      FloatVector b0 = FloatVector.fromArray(SPECIES, b, bAt + k * Kernels.PANEL);
      c00 = FloatVector.broadcast(SPECIES, a[a0 + k]).fma(b0, c00);
      c10 = FloatVector.broadcast(SPECIES, a[a1 + k]).fma(b0, c10);
      c20 = FloatVector.broadcast(SPECIES, a[a2 + k]).fma(b0, c20);
      c30 = FloatVector.broadcast(SPECIES, a[a3 + k]).fma(b0, c30);
      c40 = FloatVector.broadcast(SPECIES, a[a4 + k]).fma(b0, c40);
      c50 = FloatVector.broadcast(SPECIES, a[a5 + k]).fma(b0, c50);
      c60 = FloatVector.broadcast(SPECIES, a[a6 + k]).fma(b0, c60);
      c70 = FloatVector.broadcast(SPECIES, a[a7 + k]).fma(b0, c70);
    }
    int s = tile.cStep();
    FloatVector.fromArray(SPECIES, c, cAt).add(c00).intoArray(c, cAt);
    FloatVector.fromArray(SPECIES, c, cAt + 1 * s).add(c10).intoArray(c, cAt + 1 * s);
    FloatVector.fromArray(SPECIES, c, cAt + 2 * s).add(c20).intoArray(c, cAt + 2 * s);
    FloatVector.fromArray(SPECIES, c, cAt + 3 * s).add(c30).intoArray(c, cAt + 3 * s);
    FloatVector.fromArray(SPECIES, c, cAt + 4 * s).add(c40).intoArray(c, cAt + 4 * s);
    FloatVector.fromArray(SPECIES, c, cAt + 5 * s).add(c50).intoArray(c, cAt + 5 * s);
    FloatVector.fromArray(SPECIES, c, cAt + 6 * s).add(c60).intoArray(c, cAt + 6 * s);
    FloatVector.fromArray(SPECIES, c, cAt + 7 * s).add(c70).intoArray(c, cAt + 7 * s);
  }
}
