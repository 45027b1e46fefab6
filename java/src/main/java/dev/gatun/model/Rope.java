package dev.gatun.model;

/// Rotary embedding of a model.
///
/// @param theta base of the geometric series of frequencies
/// @param rotarySize elements of a head that are rotated (the head size, unless
///   `partial_rotary_factor` says less)
public record Rope(double theta, int rotarySize, Scaling scaling) {

  /// How a model stretches its positions beyond the length it was pretrained on. Each record holds
  /// `config.json`'s fields.
  public sealed interface Scaling {
    /// No scaling.
    record Default() implements Scaling {}

    /// Positions divided by `factor`.
    record Linear(double factor) implements Scaling {}

    /// NTK scaling whose base grows with the length of the sequence at hand.
    record Dynamic(double factor, int originalMaxPositions) implements Scaling {}

    /// YaRN. `attentionFactor`, `mscale` and `mscaleAllDim` are NaN when absent.
    record Yarn(
        double factor,
        int originalMaxPositions,
        double betaFast,
        double betaSlow,
        double attentionFactor,
        double mscale,
        double mscaleAllDim,
        boolean truncate)
        implements Scaling {}

    /// Llama 3.1's wavelength-dependent scaling.
    record Llama3(
        double factor,
        double lowFrequencyFactor,
        double highFrequencyFactor,
        int originalMaxPositions)
        implements Scaling {}
  }
}
