package dev.gatun.conformance;

import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// Errors of a set of gradients: the worst tensor, and all together.
final class GradientErrors {
  private double worstL2 = -1;
  private double worstRelative = -1;
  private String worstL2Name = "none";
  private String worstRelativeName = "none";
  private double differenceSquares;
  private double goldenSquares;
  private int count;

  /// A missing or misshapen gradient counts as infinitely wrong.
  void add(String name, @Nullable Tensor actual, Tensor golden) {
    count++;
    if (actual == null || !actual.shape().equals(golden.shape())) {
      worstL2 = Double.POSITIVE_INFINITY;
      worstL2Name = name + (actual == null ? " missing" : " " + actual.shape());
      differenceSquares = Double.POSITIVE_INFINITY;
      return;
    }
    float[] values = actual.toFloats();
    float[] expected = golden.toFloats();
    double l2 = Errors.l2(values, expected);
    double relative = Errors.relative(values, expected);
    if (!(l2 <= worstL2)) {
      worstL2 = l2;
      worstL2Name = name;
    }
    if (!(relative <= worstRelative)) {
      worstRelative = relative;
      worstRelativeName = name;
    }
    for (int i = 0; i < expected.length; i++) {
      double difference = (double) values[i] - expected[i];
      differenceSquares += difference * difference;
      goldenSquares += (double) expected[i] * expected[i];
    }
  }

  void record(Checks checks, String what, Tolerance tolerance) {
    if (count == 0) {
      checks.that(what, false, "nothing to compare");
      return;
    }
    checks.atMost(
        "%s (%d) l2, worst %s".formatted(what, count, worstL2Name),
        worstL2,
        tolerance.gradientL2());
    checks.atMost(
        "%s (%d) rel, worst %s".formatted(what, count, worstRelativeName),
        worstRelative,
        tolerance.gradient());
    checks.atMost(
        what + " l2, all together",
        Math.sqrt(differenceSquares / goldenSquares),
        tolerance.allGradientsL2());
  }
}
