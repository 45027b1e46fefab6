package dev.gatun.op;

/// The counter-based generator behind dropout and noise: Philox4x32-10 of "Parallel Random Numbers:
/// As Easy as 1, 2, 3" (Salmon et al., 2011), integers only, so that every backend draws the same
/// bits.
///
/// The 32-bit word of element `index` (its row-major position in the tensor's shape, strides
/// ignored) is word `index & 3` of the Philox block with key `(seed, seed >>> 32)` and counter
/// `(index >>> 2, index >>> 34, stream, step)`, each cut to 32 bits; `seed` and `step` are the two
/// entries of [Dropout#state].
public final class Philox {
  private static final int ROUNDS = 10;
  private static final int MULTIPLIER_0 = 0xD2511F53;
  private static final int MULTIPLIER_1 = 0xCD9E8D57;
  private static final int WEYL_0 = 0x9E3779B9;
  private static final int WEYL_1 = 0xBB67AE85;

  private Philox() {}

  /// Writes the four words of block `index >>> 2`.
  public static void block(int[] words, long seed, long step, int stream, long block) {
    int c0 = (int) block;
    int c1 = (int) (block >>> 32);
    int c2 = stream;
    int c3 = (int) step;
    int k0 = (int) seed;
    int k1 = (int) (seed >>> 32);
    for (int round = 0; round < ROUNDS; round++) {
      long p0 = (MULTIPLIER_0 & 0xFFFFFFFFL) * (c0 & 0xFFFFFFFFL);
      long p1 = (MULTIPLIER_1 & 0xFFFFFFFFL) * (c2 & 0xFFFFFFFFL);
      c0 = (int) (p1 >>> 32) ^ c1 ^ k0;
      c1 = (int) p1;
      c2 = (int) (p0 >>> 32) ^ c3 ^ k1;
      c3 = (int) p0;
      k0 += WEYL_0;
      k1 += WEYL_1;
    }
    words[0] = c0;
    words[1] = c1;
    words[2] = c2;
    words[3] = c3;
  }

  /// The threshold of [#survives]: `rint(probability · 2^24)`.
  public static int threshold(float probability) {
    return (int) Math.rint(probability * 16777216.0);
  }

  /// Whether dropout keeps an element: its upper 24 bits reach the threshold.
  public static boolean survives(int word, int threshold) {
    return (word >>> 8) >= threshold;
  }

  /// What a surviving element is multiplied by: `1 / (1 − probability)`, both operations in F32.
  public static float keepScale(float probability) {
    return 1f / (1f - probability);
  }

  /// A uniform value in `[-1, 1)`: `(word >>> 8)·2^-23 − 1`, exact in F32.
  public static float symmetric(int word) {
    return (word >>> 8) * 0x1p-23f - 1f;
  }
}
