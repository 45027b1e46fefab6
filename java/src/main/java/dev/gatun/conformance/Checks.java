package dev.gatun.conformance;

import java.util.ArrayList;
import java.util.List;

/// The figures of one case and their verdicts.
public final class Checks {
  /// @param figure what was measured: `logits rel`
  /// @param value the measurement, for people
  /// @param tolerance the bound, for people: `<= 1e-05`, `exact`
  public record Figure(String figure, String value, String tolerance, Verdict verdict) {}

  /// Outcome of a figure or a case. Not supported is never counted as passed.
  public enum Verdict {
    PASSED,
    FAILED,
    NOT_SUPPORTED
  }

  private final List<Figure> figures = new ArrayList<>();

  /// Records `value <= bound`; NaN fails.
  public void atMost(String figure, double value, double bound) {
    add(figure, "%.3g".formatted(value), "<= %.3g".formatted(bound), value <= bound);
  }

  /// Records `value >= bound`; NaN fails.
  public void atLeast(String figure, double value, double bound) {
    add(figure, "%.6g".formatted(value), ">= %.6g".formatted(bound), value >= bound);
  }

  /// Records that two values must be equal.
  public void equal(String figure, Object actual, Object expected) {
    boolean same = expected.equals(actual);
    add(
        figure,
        same ? "equal" : "got " + shorten(actual) + ", expected " + shorten(expected),
        "exact",
        same);
  }

  /// Records a count of differences that must be zero.
  public void noDifferences(String figure, long differences, String firstDifference) {
    add(
        figure,
        differences == 0 ? "equal" : differences + " differ: " + firstDifference,
        "exact",
        differences == 0);
  }

  /// Records something that holds or not.
  public void that(String figure, boolean holds, String detail) {
    add(figure, detail, "holds", holds);
  }

  /// Records that this engine lacks what the case is about.
  public void notSupported(String what) {
    figures.add(new Figure(what, "not supported", "-", Verdict.NOT_SUPPORTED));
  }

  /// Everything recorded so far.
  public List<Figure> figures() {
    return List.copyOf(figures);
  }

  /// FAILED if any figure failed or none was recorded, else NOT_SUPPORTED if any is, else PASSED.
  public Verdict verdict() {
    if (figures.isEmpty() || figures.stream().anyMatch(f -> f.verdict() == Verdict.FAILED)) {
      return Verdict.FAILED;
    }
    return figures.stream().anyMatch(f -> f.verdict() == Verdict.NOT_SUPPORTED)
        ? Verdict.NOT_SUPPORTED
        : Verdict.PASSED;
  }

  private void add(String figure, String value, String tolerance, boolean passed) {
    figures.add(new Figure(figure, value, tolerance, passed ? Verdict.PASSED : Verdict.FAILED));
  }

  private static String shorten(Object value) {
    String text = String.valueOf(value);
    return text.length() <= 120 ? text : text.substring(0, 117) + "...";
  }
}
