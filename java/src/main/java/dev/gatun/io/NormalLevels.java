package dev.gatun.io;

import dev.gatun.tensor.Bf16;
import dev.gatun.tensor.DType;

/// A normal distribution cut into 65,536 equally likely values, drawn by counter: element `i` of a
/// tensor depends only on the tensor's stream and on `i`, so any part can be made anywhere, in any
/// order, on any number of threads.
final class NormalLevels {
  private static final int LEVELS = 1 << 16;
  private static final int PER_WORD = 4;
  private static final long GOLDEN_GAMMA = 0x9E3779B97F4A7C15L;

  private final float[] values = new float[LEVELS];

  /// @param type what every value is rounded to: F32, F16 or BF16
  NormalLevels(DType type, double deviation) {
    for (int i = 0; i < LEVELS; i++) {
      float value = (float) (deviation * quantile((i + 0.5) / LEVELS));
      values[i] =
          switch (type) {
            case BF16 -> Bf16.round(value);
            case F16 -> Float.float16ToFloat(Float.floatToFloat16(value));
            case F32 -> value;
            case F64, I64, I32, I16, I8, U8, BOOL ->
                throw new IllegalArgumentException("no weights of type " + type);
          };
    }
  }

  /// The stream of a tensor.
  static long stream(long seed, String name) {
    long hash = 0xCBF29CE484222325L; // FNV-1a, 64 bits
    for (int i = 0; i < name.length(); i++) {
      hash = (hash ^ name.charAt(i)) * 0x100000001B3L;
    }
    return mix(hash ^ mix(seed));
  }

  /// Elements `from … from+count-1` of a stream.
  ///
  /// @param from a multiple of 4
  void fill(float[] target, long stream, long from, int count) {
    long word = 0;
    for (int i = 0; i < count; i++) {
      int lane = i & (PER_WORD - 1);
      word = lane == 0 ? mix(stream + ((from + i) / PER_WORD + 1) * GOLDEN_GAMMA) : word >>> 16;
      target[i] = values[(int) word & (LEVELS - 1)];
    }
  }

  /// SplitMix64's output function (Steele et al., 2014).
  private static long mix(long z) {
    long a = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    long b = (a ^ (a >>> 27)) * 0x94D049BB133111EBL;
    return b ^ (b >>> 31);
  }

  /// The standard normal value below which a share `p` lies, to about 4 digits: formula 26.2.23 of
  /// Abramowitz and Stegun, symmetric about 1/2. `StrictMath`, so that all machines agree.
  private static double quantile(double p) {
    double t = StrictMath.sqrt(-2 * StrictMath.log(Math.min(p, 1 - p)));
    double top = 2.515517 + t * (0.802853 + t * 0.010328);
    double bottom = 1 + t * (1.432788 + t * (0.189269 + t * 0.001308));
    double magnitude = t - top / bottom;
    return p < 0.5 ? -magnitude : magnitude;
  }
}
