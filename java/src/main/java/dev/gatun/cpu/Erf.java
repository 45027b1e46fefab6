package dev.gatun.cpu;

/// The error function in double precision.
final class Erf {
  // Beyond this the result is 1 to the last bit of a double.
  private static final double LARGE = 6;

  private Erf() {}

  /// `2/√π·∫₀ˣ e^(−t²) dt`, by the series `2/√π·e^(−x²)·Σ 2ⁿx^(2n+1)/(1·3·…·(2n+1))`, whose terms
  /// all have one sign (Abramowitz and Stegun, 7.1.6).
  static double erf(double x) {
    if (Math.abs(x) >= LARGE) {
      return Math.signum(x);
    }
    double term = x;
    double sum = x;
    for (int n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
      term *= 2 * x * x / (2 * n + 1);
      sum += term;
    }
    return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
  }
}
