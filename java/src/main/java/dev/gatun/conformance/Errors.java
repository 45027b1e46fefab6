package dev.gatun.conformance;

/// The kit's measures of error.
public final class Errors {
  private Errors() {}

  /// `max|actual − golden| / max|golden|` over everything; NaN counts as infinite.
  public static double relative(float[] actual, float[] golden) {
    double difference = 0;
    double scale = 0;
    for (int i = 0; i < golden.length; i++) {
      double d = Math.abs((double) actual[i] - golden[i]);
      difference = d <= difference ? difference : Double.isNaN(d) ? Double.POSITIVE_INFINITY : d;
      scale = Math.max(scale, Math.abs(golden[i]));
    }
    return difference == 0 ? 0 : difference / scale;
  }

  /// Relative L2 error.
  public static double l2(float[] actual, float[] golden) {
    double difference = 0;
    double scale = 0;
    for (int i = 0; i < golden.length; i++) {
      double d = (double) actual[i] - golden[i];
      difference += d * d;
      scale += (double) golden[i] * golden[i];
    }
    return difference == 0 ? 0 : Math.sqrt(difference / scale);
  }

  /// Largest absolute difference.
  public static double absolute(float[] actual, float[] golden) {
    double difference = 0;
    for (int i = 0; i < golden.length; i++) {
      double d = Math.abs((double) actual[i] - golden[i]);
      difference = d <= difference ? difference : Double.isNaN(d) ? Double.POSITIVE_INFINITY : d;
    }
    return difference;
  }
}
