package dev.gatun.conformance;

/// The kit's tolerances for model figures, from its README, chosen by the engine's precision.
///
/// @param logits largest difference relative to the largest golden value
/// @param logitsL2 relative L2 error
/// @param merged as `logits`, after low-rank updates were added to the weights
/// @param gradientL2 of one tensor; infinite where only all tensors together are judged
/// @param gradient largest difference relative to the largest golden value of one tensor
/// @param allGradientsL2 of all tensors together
record Tolerance(
    double logits,
    double logitsL2,
    double merged,
    double loss,
    double gradientL2,
    double gradient,
    double allGradientsL2,
    double gradientNorm) {

  private static final Tolerance SINGLE =
      new Tolerance(1e-5, 1e-5, 2e-5, 2e-5, 1e-4, 1e-3, 1e-4, 1e-3);

  /// @param logitsDeviation how far the reference's own 16-bit logits are from its 32-bit ones
  /// @param gradientDeviation the same for gradients, relative L2
  static Tolerance of(Engine engine, double logitsDeviation, double gradientDeviation) {
    if (!engine.isHalfPrecision()) {
      return SINGLE;
    }
    double any = Double.POSITIVE_INFINITY;
    return new Tolerance(
        2 * logitsDeviation,
        3e-2,
        2 * logitsDeviation,
        1e-2,
        any,
        any,
        2 * gradientDeviation,
        2e-2);
  }
}
