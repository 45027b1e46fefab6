package dev.gatun.quant;

import java.util.Arrays;

/// The dynamic 8-bit code books of "8-bit Optimizers via Block-wise Quantization" (Dettmers et al.,
/// 2021), with seven exponent bits, bit for bit as bitsandbytes builds them: for every decade
/// `10^-6 … 10^0` the midpoints of an even grid over `[0.1, 1]` that doubles from decade to decade,
/// and 0 and 1.
public final class DynamicMap {
  private static final int DECADES = 7;
  private static final float[] SIGNED = build(true);
  private static final float[] UNSIGNED = build(false);

  private DynamicMap() {}

  /// The 256 values in `[-1, 1]`, ascending; a copy. Double quantisation of scales and the first
  /// moment of 8-bit Adam use this one.
  public static float[] signed() {
    return SIGNED.clone();
  }

  /// The 256 values in `[0, 1]`, ascending; a copy. For second moments.
  public static float[] unsigned() {
    return UNSIGNED.clone();
  }

  /// The index of the value of `map` nearest to `value`; the lower one if two are equally near, the
  /// first for NaN.
  ///
  /// @param map ascending
  public static int nearest(float[] map, float value) {
    int low = 0;
    int high = map.length - 1;
    while (high - low > 1) {
      int middle = (low + high) >>> 1;
      if (map[middle] <= value) {
        low = middle;
      } else {
        high = middle;
      }
    }
    return map[high] - value < value - map[low] ? high : low;
  }

  private static float[] build(boolean signed) {
    float[] map = new float[256];
    int size = 0;
    map[size++] = 0;
    map[size++] = 1;
    for (int decade = 0; decade < DECADES; decade++) {
      int intervals = 1 << (signed ? decade : decade + 1);
      float power = (float) Math.pow(10, decade - (DECADES - 1));
      for (int i = 0; i < intervals; i++) {
        float value = power * ((grid(i, intervals) + grid(i + 1, intervals)) / 2);
        map[size++] = value;
        if (signed) {
          map[size++] = -value;
        }
      }
    }
    Arrays.sort(map);
    return map;
  }

  // Point i of an even grid over [0.1, 1], from the nearer end, with one rounding.
  private static float grid(int i, int intervals) {
    float step = (1f - 0.1f) / intervals;
    return i < (intervals + 1) / 2
        ? Math.fma(step, (float) i, 0.1f)
        : Math.fma(-step, (float) (intervals - i), 1f);
  }
}
