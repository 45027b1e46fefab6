package dev.gatun.cpu.kernel;

/// Constants of the single-precision exponential: `e^x = 2^n·e^r` with `n = rint(x·log2 e)` and
/// `|r| ≤ ln2/2`, `e^r` by the Taylor polynomial of degree 7, whose remainder is below half an ulp.
/// The product `n·LN2_HIGH` is exact.
public final class Exponential {
  public static final float LOG2_E = 1.4426950408889634f;
  public static final float LN2_HIGH = 0.693359375f;
  public static final float LN2_LOW = -2.12194440e-4f;

  /// Adding this rounds a small float to an integer, in the low bits of the sum.
  public static final float ROUNDER = 12582912f;

  /// Arguments are kept in this range, where the result is a normal number.
  public static final float LOWEST = -87.33654f;

  public static final float HIGHEST = 88.37626f;

  public static final float C2 = 1f / 2;
  public static final float C3 = 1f / 6;
  public static final float C4 = 1f / 24;
  public static final float C5 = 1f / 120;
  public static final float C6 = 1f / 720;
  public static final float C7 = 1f / 5040;

  private Exponential() {}

  /// `e^x`, clamped to the range of normal numbers; NaN stays NaN.
  static float exp(float x) {
    x = x < LOWEST ? LOWEST : x > HIGHEST ? HIGHEST : x;
    float shifted = x * LOG2_E + ROUNDER;
    float n = shifted - ROUNDER;
    float r = x - n * LN2_HIGH - n * LN2_LOW;
    float p = C7 * r + C6;
    p = p * r + C5;
    p = p * r + C4;
    p = p * r + C3;
    p = p * r + C2;
    p = p * r + 1;
    p = p * r + 1;
    return Float.intBitsToFloat(
        Float.floatToRawIntBits(p) + (Float.floatToRawIntBits(shifted) << 23));
  }
}
