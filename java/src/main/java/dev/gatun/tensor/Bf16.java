package dev.gatun.tensor;

/// Conversions between `float` and bfloat16 bits: the upper half of an IEEE-754 single, rounded to
/// nearest even.
public final class Bf16 {
  private Bf16() {}

  /// The bfloat16 bits nearest to `value`; ties go to even, NaN stays NaN.
  public static short of(float value) {
    int bits = Float.floatToRawIntBits(value);
    if (Float.isNaN(value)) {
      return (short) ((bits >>> 16) | 0x40);
    }
    return (short) ((bits + 0x7FFF + ((bits >>> 16) & 1)) >>> 16);
  }

  /// The value of bfloat16 bits.
  public static float toFloat(short bits) {
    return Float.intBitsToFloat(bits << 16);
  }

  /// `value` rounded to bfloat16 and back.
  public static float round(float value) {
    return toFloat(of(value));
  }
}
