package dev.gatun.data;

/// NumPy's `default_rng(seed)`, as far as `permutation` needs it: SeedSequence, PCG64 and masked
/// rejection. It is what `datasets.Dataset.shuffle(seed)` uses, so that a shuffled dataset has the
/// same order here. O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good
/// Algorithms for Random Number Generation", 2014.
final class NumpyGenerator {
  private static final int POOL = 4;
  private static final long MULTIPLIER_HIGH = 0x2360ED051FC65DA4L;
  private static final long MULTIPLIER_LOW = 0x4385DF649FCCF645L;

  private long high;
  private long low;
  private final long incrementHigh;
  private final long incrementLow;
  private int kept;
  private boolean hasKept;

  private NumpyGenerator(long seed) {
    int[] words = seedWords(seed);
    long[] values = new long[POOL];
    for (int i = 0; i < POOL; i++) {
      values[i] = Integer.toUnsignedLong(words[2 * i]) | ((long) words[2 * i + 1] << 32);
    }
    incrementHigh = (values[2] << 1) | (values[3] >>> 63);
    incrementLow = (values[3] << 1) | 1;
    step();
    add(values[0], values[1]);
    step();
  }

  /// `numpy.random.default_rng(seed).permutation(n)`.
  ///
  /// @param seed not negative
  static int[] permutation(long seed, int n) {
    NumpyGenerator generator = new NumpyGenerator(seed);
    int[] order = SampleOrder.sequential(n);
    for (int i = n - 1; i > 0; i--) {
      int other = generator.atMost(i);
      int swapped = order[i];
      order[i] = order[other];
      order[other] = swapped;
    }
    return order;
  }

  /// A number from 0 to `largest`: draws under the smallest mask until one fits.
  private int atMost(int largest) {
    int mask = -1 >>> Integer.numberOfLeadingZeros(largest);
    int drawn = nextInt() & mask;
    while (drawn > largest) {
      drawn = nextInt() & mask;
    }
    return drawn;
  }

  /// The low half of a 64-bit draw first, then its high half.
  private int nextInt() {
    if (hasKept) {
      hasKept = false;
      return kept;
    }
    step();
    long next = Long.rotateRight(high ^ low, (int) (high >>> 58));
    kept = (int) (next >>> 32);
    hasKept = true;
    return (int) next;
  }

  private void step() {
    long productHigh =
        Math.unsignedMultiplyHigh(low, MULTIPLIER_LOW)
            + high * MULTIPLIER_LOW
            + low * MULTIPLIER_HIGH;
    low *= MULTIPLIER_LOW;
    high = productHigh;
    add(incrementHigh, incrementLow);
  }

  private void add(long otherHigh, long otherLow) {
    long sum = low + otherLow;
    long carry = Long.compareUnsigned(sum, low) < 0 ? 1 : 0;
    low = sum;
    high += otherHigh + carry;
  }

  /// SeedSequence: the seed's two words hashed into a pool of four, drawn as eight.
  private static int[] seedWords(long seed) {
    int[] entropy = {(int) seed, (int) (seed >>> 32), 0, 0};
    int[] pool = new int[POOL];
    Hash in = new Hash(0x43b0d7e5, 0x931e8875);
    for (int i = 0; i < POOL; i++) {
      pool[i] = in.mix(entropy[i]);
    }
    for (int source = 0; source < POOL; source++) {
      for (int target = 0; target < POOL; target++) {
        if (source != target) {
          int mixed = 0xca01f9dd * pool[target] - 0x4973f715 * in.mix(pool[source]);
          pool[target] = mixed ^ (mixed >>> 16);
        }
      }
    }
    Hash out = new Hash(0x8b51f9dd, 0x58f38ded);
    int[] words = new int[2 * POOL];
    for (int i = 0; i < words.length; i++) {
      words[i] = out.mix(pool[i % POOL]);
    }
    return words;
  }

  private static final class Hash {
    private int constant;
    private final int multiplier;

    Hash(int constant, int multiplier) {
      this.constant = constant;
      this.multiplier = multiplier;
    }

    int mix(int value) {
      int mixed = value ^ constant;
      constant *= multiplier;
      mixed *= constant;
      return mixed ^ (mixed >>> 16);
    }
  }
}
