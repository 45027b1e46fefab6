package dev.gatun.train;

import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.Optional;

/// Finds what someone meant to type.
final class NearestName {
  private NearestName() {}

  /// The candidate with the smallest edit distance; the first in alphabetical order among equals.
  static String closest(String typed, Collection<String> candidates) {
    return candidates.stream()
        .min(
            Comparator.<String>comparingInt(name -> distance(typed, name))
                .thenComparing(Comparator.naturalOrder()))
        .orElseThrow();
  }

  /// The closest candidate, unless it is so far off that naming it would mislead.
  static Optional<String> plausible(String typed, Collection<String> candidates) {
    if (typed.length() > 100) {
      return Optional.empty();
    }
    String name = closest(typed, candidates);
    return distance(typed, name) <= Math.max(2, typed.length() / 2)
        ? Optional.of(name)
        : Optional.empty();
  }

  /// Levenshtein distance with insertions, deletions and substitutions of cost 1.
  static int distance(String a, String b) {
    int[] row = new int[b.length() + 1];
    Arrays.setAll(row, j -> j);
    for (int i = 1; i <= a.length(); i++) {
      int diagonal = row[0];
      row[0] = i;
      for (int j = 1; j <= b.length(); j++) {
        int substituted = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
        diagonal = row[j];
        row[j] = Math.min(substituted, Math.min(row[j], row[j - 1]) + 1);
      }
    }
    return row[b.length()];
  }
}
