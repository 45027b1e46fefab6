package dev.gatun.conformance;

import java.util.Arrays;

/// Counts items that differ and remembers the first.
final class Differences {
  private long compared;
  private long count;
  private String first = "";

  void compare(String label, int[] actual, int[] expected) {
    compared++;
    if (!Arrays.equals(actual, expected)) {
      int at = Arrays.mismatch(actual, expected);
      add(
          "%s at %d: got %s, expected %s"
              .formatted(label, at, element(actual, at), element(expected, at)));
    }
  }

  void compare(String label, Object actual, Object expected) {
    compared++;
    if (!expected.equals(actual)) {
      add("%s: got %s, expected %s".formatted(label, actual, expected));
    }
  }

  boolean none() {
    return count == 0;
  }

  /// Records the count, or a failure if nothing was compared.
  void record(Checks checks, String figure) {
    if (compared == 0) {
      checks.that(figure, false, "nothing to compare");
    } else {
      checks.noDifferences(figure + " (" + compared + ")", count, first);
    }
  }

  private void add(String difference) {
    if (count++ == 0) {
      first = difference.length() > 300 ? difference.substring(0, 300) + "..." : difference;
    }
  }

  private static String element(int[] values, int at) {
    return at < values.length ? Integer.toString(values[at]) : "the end";
  }
}
