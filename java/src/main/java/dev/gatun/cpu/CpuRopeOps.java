package dev.gatun.cpu;

import dev.gatun.op.RopeOps;
import dev.gatun.tensor.Tensor;

/// Rotary embedding, a token at a time.
final class CpuRopeOps implements RopeOps {
  private final Loops loops;

  CpuRopeOps(Loops loops) {
    this.loops = loops;
  }

  @Override
  public void apply(Tensor x, Tensor rows, Tensor cos, Tensor sin, boolean inverse) {
    Rows tokens = new Rows(x);
    Ints positions = Ints.of(rows);
    Rows cosines = new Rows(cos);
    Rows sines = new Rows(sin);
    int width = Math.toIntExact(x.cols());
    int head = Math.toIntExact(x.shape().dim(-1));
    int half = Math.toIntExact(cos.cols());
    if (2 * half > head || positions.count() != x.rows()) {
      throw new IllegalArgumentException(
          "rope tables " + cos.shape() + " and rows " + rows.shape() + " for " + x.shape());
    }
    loops.overRows(
        x.rows(),
        width,
        (workspace, token) -> {
          float[] values = workspace.floats(0, width);
          float[] c = workspace.floats(1, half);
          float[] s = workspace.floats(2, half);
          int position = positions.at(token);
          cosines.read(position, 0, half, c, 0);
          sines.read(position, 0, half, s, 0);
          float sign = inverse ? -1 : 1;
          tokens.read(token, 0, width, values, 0);
          for (int at = 0; at < width; at += head) {
            for (int i = 0; i < half; i++) {
              float a = values[at + i];
              float b = values[at + half + i];
              float turn = sign * s[i];
              values[at + i] = a * c[i] - b * turn;
              values[at + half + i] = b * c[i] + a * turn;
            }
          }
          tokens.write(token, 0, width, values, 0);
        });
  }
}
