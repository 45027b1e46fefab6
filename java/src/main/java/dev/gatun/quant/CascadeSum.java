package dev.gatun.quant;

/// The sum of floats in the order of PyTorch's CPU kernel on 256-bit vectors (`SumKernel.cpp`).
///
/// The last bit of the mean of a weight's scales decides codes of the nested quantisation that lie
/// on a midpoint, so the order of the additions is part of the format. Values are dealt to 4 rows
/// of 8 lanes in turn; each of these 32 partial sums is a cascade of four levels, so that numbers
/// of similar size are added.
final class CascadeSum {
  private static final int LANES = 8;
  private static final int ROWS = 4;
  private static final int LEVELS = 4;
  private static final int WIDTH = LANES * ROWS;

  private CascadeSum() {}

  static float of(float[] values) {
    int vectors = values.length / LANES;
    float[] sums = cascade(values, vectors / ROWS);
    for (int i = vectors / ROWS * WIDTH; i < vectors * LANES; i++) {
      sums[i % LANES] += values[i];
    }
    for (int row = 1; row < ROWS; row++) {
      for (int lane = 0; lane < LANES; lane++) {
        sums[lane] += sums[row * LANES + lane];
      }
    }
    float total = 0;
    for (int i = vectors * LANES; i < values.length; i++) {
      total += values[i];
    }
    for (int lane = 0; lane < LANES; lane++) {
      total += sums[lane];
    }
    return total;
  }

  /// Sums `count` groups of [#WIDTH] values, group by group; a full level is added to the next.
  private static float[] cascade(float[] values, int count) {
    int power = Math.max(4, ceilingLog2(count) / LEVELS);
    int step = 1 << power;
    float[][] levels = new float[LEVELS][WIDTH];
    int group = 0;
    while (group + step <= count) {
      for (int end = group + step; group < end; group++) {
        add(levels[0], values, group * WIDTH);
      }
      long mask = step - 1L;
      for (int level = 1; level < LEVELS; level++) {
        add(levels[level], levels[level - 1], 0);
        levels[level - 1] = new float[WIDTH];
        if ((group & (mask << (level * power))) != 0) {
          break;
        }
      }
    }
    for (; group < count; group++) {
      add(levels[0], values, group * WIDTH);
    }
    for (int level = 1; level < LEVELS; level++) {
      add(levels[0], levels[level], 0);
    }
    return levels[0];
  }

  private static void add(float[] sums, float[] values, int from) {
    for (int i = 0; i < WIDTH; i++) {
      sums[i] += values[from + i];
    }
  }

  private static int ceilingLog2(int value) {
    return value <= 2 ? 1 : Integer.SIZE - Integer.numberOfLeadingZeros(value - 1);
  }
}
