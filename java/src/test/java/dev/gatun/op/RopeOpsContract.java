package dev.gatun.op;

import dev.gatun.Tolerances;
import dev.gatun.tensor.Tensor;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Rotary embedding on any backend.
public abstract class RopeOpsContract extends OpContract {
  private static final int POSITIONS = 40;

  @ParameterizedTest
  @CsvSource({"1, 1, 2, 1", "7, 3, 10, 5", "33, 2, 64, 32", "5, 4, 16, 6"})
  void rotatesAndBack(int tokens, int heads, int size, int half) {
    double[] x = values(tokens * heads * size, 1);
    int[] rows = ints(tokens, POSITIONS);
    double[] cos = new double[POSITIONS * half];
    double[] sin = new double[POSITIONS * half];
    for (int i = 0; i < cos.length; i++) {
      int position = i / half;
      double angle = position * Math.pow(100, -(double) (i % half) / half);
      cos[i] = (float) Math.cos(angle);
      sin[i] = (float) Math.sin(angle);
    }
    Tensor tensor = strided(x, tokens, heads * size).reshape(tokens, heads, size);
    Tensor positions = ints(rows);
    Tensor cosines = f32(cos, POSITIONS, half);
    Tensor sines = f32(sin, POSITIONS, half);

    backend().rope().apply(tensor, positions, cosines, sines, false);
    assertClose(
        "rotated", tensor, p -> Oracle.rope(p, x, heads, size, rows, cos, sin, half, false));

    double[] rotated = download(tensor);
    backend().rope().apply(tensor, positions, cosines, sines, true);
    assertClose(
        "back", tensor, p -> Oracle.rope(p, rotated, heads, size, rows, cos, sin, half, true));
    // Two rotations, each rounded, of values of a few units.
    assertWithin("round trip", download(tensor), x, 20 * Tolerances.unitRoundoff(activationType()));
  }
}
