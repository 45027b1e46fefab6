package dev.gatun.cpu.kernel;

import java.util.Arrays;

/// The inner loops as plain Java, shaped so that the JIT compiler vectorises the ones that matter:
/// every array in such a loop is indexed by the bare loop variable, since only then can it tell
/// that two arrays do not overlap.
public final class PlainKernels implements Kernels {
  @Override
  public String name() {
    return "plain loops";
  }

  @Override
  public void multiply(float[] c, float[] a, float[] b, Tile tile) {
    int cols = padded(tile.cols());
    float[][] rows = new float[tile.rows()][cols];
    for (int i = 0; i < tile.rows(); i++) {
      System.arraycopy(c, i * tile.cStep(), rows[i], 0, cols);
    }
    float[][] depths = new float[4][cols];
    for (int k = 0; k < tile.depth(); k += 4) {
      int count = Math.min(4, tile.depth() - k);
      unpack(depths, b, k, count, tile.depth());
      for (int i = 0; i < tile.rows(); i++) {
        int at = i * tile.aStep() + k;
        addTerms(
            rows[i],
            depths,
            a[at],
            count > 1 ? a[at + 1] : 0,
            count > 2 ? a[at + 2] : 0,
            count > 3 ? a[at + 3] : 0);
      }
    }
    for (int i = 0; i < tile.rows(); i++) {
      System.arraycopy(rows[i], 0, c, i * tile.cStep(), cols);
    }
  }

  private static int padded(int cols) {
    return Kernels.padded(cols, PANEL);
  }

  // Rows k … k+count-1 of the packed block, zeros beyond.
  private static void unpack(float[][] depths, float[] b, int k, int count, int depth) {
    for (int q = 0; q < 4; q++) {
      float[] row = depths[q];
      if (q >= count) {
        Arrays.fill(row, 0);
        continue;
      }
      for (int j = 0; j < row.length; j += PANEL) {
        System.arraycopy(b, j * depth + (k + q) * PANEL, row, j, PANEL);
      }
    }
  }

  // Four products for five loads. More terms or a second row, and the compiler gives up.
  private static void addTerms(
      float[] c, float[][] depths, float f0, float f1, float f2, float f3) {
    float[] b0 = depths[0];
    float[] b1 = depths[1];
    float[] b2 = depths[2];
    float[] b3 = depths[3];
    for (int j = 0; j < c.length; j++) {
      c[j] += f0 * b0[j] + f1 * b1[j] + (f2 * b2[j] + f3 * b3[j]);
    }
  }

  @Override
  public float dot(float[] a, int aFrom, float[] b, int bFrom, int count) {
    float s0 = 0;
    float s1 = 0;
    float s2 = 0;
    float s3 = 0;
    int i = 0;
    for (; i + 3 < count; i += 4) {
      s0 += a[aFrom + i] * b[bFrom + i];
      s1 += a[aFrom + i + 1] * b[bFrom + i + 1];
      s2 += a[aFrom + i + 2] * b[bFrom + i + 2];
      s3 += a[aFrom + i + 3] * b[bFrom + i + 3];
    }
    for (; i < count; i++) {
      s0 += a[aFrom + i] * b[bFrom + i];
    }
    return s0 + s1 + (s2 + s3);
  }

  @Override
  public double sumOfSquares(float[] x, int from, int count) {
    double s0 = 0;
    double s1 = 0;
    int i = 0;
    for (; i + 1 < count; i += 2) {
      s0 += (double) x[from + i] * x[from + i];
      s1 += (double) x[from + i + 1] * x[from + i + 1];
    }
    if (i < count) {
      s0 += (double) x[from + i] * x[from + i];
    }
    return s0 + s1;
  }

  @Override
  public float max(float[] x, int from, int count) {
    float largest = Float.NEGATIVE_INFINITY;
    for (int i = from; i < from + count; i++) {
      largest = Math.max(largest, x[i]);
    }
    return largest;
  }

  @Override
  public double expSum(float[] x, int from, int count, float shift) {
    double sum = 0;
    for (int i = from; i < from + count; i++) {
      float value = x[i] - shift;
      x[i] = value < Exponential.LOWEST ? 0 : Exponential.exp(value);
      sum += x[i];
    }
    return sum;
  }

  @Override
  public void silu(float[] h, float[] gate, float[] up, int count) {
    for (int i = 0; i < count; i++) {
      h[i] = gate[i] / (1 + Exponential.exp(-gate[i])) * up[i];
    }
  }

  @Override
  public void siluBackward(SiluGradients outputs, float[] dh, float[] gate, float[] up, int count) {
    for (int i = 0; i < count; i++) {
      float g = gate[i];
      float u = up[i];
      float d = dh[i];
      float sigmoid = 1 / (1 + Exponential.exp(-g));
      float act = g * sigmoid;
      outputs.dgate()[i] = d * u * (sigmoid * (1 + g * (1 - sigmoid)));
      outputs.dup()[i] = d * act;
      outputs.h()[i] = act * u;
    }
  }
}
