package dev.gatun.nn;

import dev.gatun.model.Rope;
import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;

/// Cosines and sines of every position, F32 `[P, rotary/2]`, computed once on the host as
/// transformers does: the angle is a product of floats.
///
/// Under dynamic scaling a sequence longer than the original context has frequencies of its own; a
/// batch with such a sequence carries its own table, a row for each token (see [#needsOwnRows]).
final class RopeTables {
  private final Rope rope;
  private final int positions;
  private final Tensor cos;
  private final Tensor sin;

  private RopeTables(Rope rope, int positions, Tensor cos, Tensor sin) {
    this.rope = rope;
    this.positions = positions;
    this.cos = cos;
    this.sin = sin;
  }

  /// Tables for positions `0 … positions-1` in `arena`.
  static RopeTables create(Backend backend, Rope rope, int positions, TensorArena arena) {
    Rows rows = new Rows(rope, positions);
    float[] inverse = RopeFrequencies.inverse(rope, 0);
    for (int p = 0; p < positions; p++) {
      rows.put(p, p, inverse);
    }
    Uploads uploads = new Uploads(backend, arena, null);
    return new RopeTables(rope, positions, rows.cos(uploads), rows.sin(uploads));
  }

  Tensor cos() {
    return cos;
  }

  Tensor sin() {
    return sin;
  }

  int positions() {
    return positions;
  }

  Rope rope() {
    return rope;
  }

  /// Whether a sequence of `length` tokens has other frequencies than the tables.
  boolean needsOwnRows(int length) {
    return rope.scaling() instanceof Rope.Scaling.Dynamic dynamic
        && length > dynamic.originalMaxPositions();
  }

  /// Host rows of a table.
  static final class Rows {
    private final float[] cos;
    private final float[] sin;
    private final int half;
    private final float attention;

    Rows(Rope rope, int count) {
      half = rope.rotarySize() / 2;
      attention = (float) RopeFrequencies.attentionFactor(rope);
      cos = new float[Math.multiplyExact(count, half)];
      sin = new float[cos.length];
    }

    void put(int row, int position, float[] inverse) {
      for (int i = 0; i < half; i++) {
        float angle = position * inverse[i];
        cos[row * half + i] = (float) Math.cos(angle) * attention;
        sin[row * half + i] = (float) Math.sin(angle) * attention;
      }
    }

    Tensor cos(Uploads uploads) {
      return uploads.floats(Shape.of(cos.length / half, half), cos);
    }

    Tensor sin(Uploads uploads) {
      return uploads.floats(Shape.of(sin.length / half, half), sin);
    }
  }
}
