package dev.gatun.data;

import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/// Which samples are the same: 64-bit hashes of their tokens before any cut, eight bytes a sample.
/// Among a million samples two different ones meet with a probability below 10^-7.
final class Fingerprints {
  private static final long GOLDEN_RATIO = 0x9E37_79B9_7F4A_7C15L;

  private Fingerprints() {}

  static long of(int[] ids) {
    long hash = ids.length * GOLDEN_RATIO;
    for (int id : ids) {
      hash = mix(hash ^ id) + GOLDEN_RATIO;
    }
    return mix(hash);
  }

  /// The finaliser of SplitMix64, a bijection in which every bit of the input moves every other.
  private static long mix(long value) {
    long x = value;
    x = (x ^ (x >>> 30)) * 0xBF58_476D_1CE4_E5B9L;
    x = (x ^ (x >>> 27)) * 0x94D0_49BB_1331_11EBL;
    return x ^ (x >>> 31);
  }

  /// Samples that repeat an earlier one.
  ///
  /// @param count how many
  /// @param first index of the first of them
  /// @param original index of the sample that it repeats
  record Repeats(int count, int first, int original) {}

  /// @param fingerprints in the order of the samples
  /// @return null if there are none
  static @Nullable Repeats repeats(long[] fingerprints) {
    long[] sorted = fingerprints.clone();
    Arrays.sort(sorted);
    Set<Long> repeated = new HashSet<>();
    int count = 0;
    for (int i = 1; i < sorted.length; i++) {
      if (sorted[i] == sorted[i - 1]) {
        repeated.add(sorted[i]);
        count++;
      }
    }
    Map<Long, Integer> seen = new HashMap<>();
    for (int i = 0; i < fingerprints.length; i++) {
      Integer original = repeated.contains(fingerprints[i]) ? seen.put(fingerprints[i], i) : null;
      if (original != null) {
        return new Repeats(count, i, original);
      }
    }
    return null;
  }

  /// Samples of one dataset that another has too.
  ///
  /// @param count how many different ones
  /// @param first where the first of them is
  record Shared(int count, String first) {}

  /// @return null if there are none
  static @Nullable Shared shared(PreparedDataset training, PreparedDataset evaluation) {
    long[] known =
        IntStream.range(0, training.size())
            .mapToObj(training::fingerprints)
            .flatMapToLong(Arrays::stream)
            .sorted()
            .toArray();
    Set<Long> shared = new HashSet<>();
    String first = "";
    for (int row = 0; row < evaluation.size(); row++) {
      for (long fingerprint : evaluation.fingerprints(row)) {
        if (Arrays.binarySearch(known, fingerprint) >= 0 && shared.add(fingerprint)) {
          first = shared.size() == 1 ? evaluation.source(row) : first;
        }
      }
    }
    return shared.isEmpty() ? null : new Shared(shared.size(), first);
  }
}
