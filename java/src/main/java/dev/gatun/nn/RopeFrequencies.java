package dev.gatun.nn;

import dev.gatun.model.Rope;
import dev.gatun.model.Rope.Scaling;

/// Inverse frequencies of a rotary embedding in the arithmetic of transformers
/// (`modeling_rope_utils.py`): parameters in double, tensors in float, so that the figures agree to
/// the last bits.
public final class RopeFrequencies {
  private RopeFrequencies() {}

  /// `rotary/2` inverse frequencies for a sequence of `length` tokens; only dynamic scaling depends
  /// on the length.
  public static float[] inverse(Rope rope, int length) {
    return switch (rope.scaling()) {
      case Scaling.Default _ -> plain(rope.theta(), rope.rotarySize());
      case Scaling.Linear linear -> linear(rope, linear);
      case Scaling.Dynamic dynamic -> dynamic(rope, dynamic, length);
      case Scaling.Yarn yarn -> yarn(rope, yarn);
      case Scaling.Llama3 llama3 -> llama3(rope, llama3);
    };
  }

  /// Factor of every cosine and sine.
  public static double attentionFactor(Rope rope) {
    return switch (rope.scaling()) {
      case Scaling.Yarn yarn -> yarnAttention(yarn);
      case Scaling.Default _, Scaling.Linear _, Scaling.Dynamic _, Scaling.Llama3 _ -> 1;
    };
  }

  private static float[] plain(double theta, int size) {
    float[] frequencies = powers(theta, size);
    for (int i = 0; i < frequencies.length; i++) {
      frequencies[i] = 1 / frequencies[i];
    }
    return frequencies;
  }

  private static float[] powers(double theta, int size) {
    float[] powers = new float[size / 2];
    for (int i = 0; i < powers.length; i++) {
      powers[i] = (float) Math.pow((float) theta, 2 * i / (float) size);
    }
    return powers;
  }

  private static float[] linear(Rope rope, Scaling.Linear scaling) {
    float[] frequencies = plain(rope.theta(), rope.rotarySize());
    for (int i = 0; i < frequencies.length; i++) {
      frequencies[i] /= (float) scaling.factor();
    }
    return frequencies;
  }

  private static float[] dynamic(Rope rope, Scaling.Dynamic scaling, int length) {
    double size = rope.rotarySize();
    double original = scaling.originalMaxPositions();
    double stretch =
        scaling.factor() * Math.max(length, original) / original - (scaling.factor() - 1);
    return plain(rope.theta() * Math.pow(stretch, size / (size - 2)), rope.rotarySize());
  }

  /// YaRN (Peng et al., 2023): high frequencies stay, low ones are divided by the factor, a linear
  /// ramp lies between.
  private static float[] yarn(Rope rope, Scaling.Yarn scaling) {
    float[] powers = powers(rope.theta(), rope.rotarySize());
    double low = correction(rope, scaling, scaling.betaFast());
    double high = correction(rope, scaling, scaling.betaSlow());
    if (scaling.truncate()) {
      low = Math.floor(low);
      high = Math.ceil(high);
    }
    low = Math.max(low, 0);
    high = Math.min(high, rope.rotarySize() - 1);
    if (low == high) {
      high += 0.001;
    }
    float[] frequencies = new float[powers.length];
    for (int i = 0; i < powers.length; i++) {
      float ramp = Math.clamp((i - (float) low) / (float) (high - low), 0f, 1f);
      float kept = 1 - ramp;
      float interpolated = 1 / ((float) scaling.factor() * powers[i]);
      frequencies[i] = interpolated * (1 - kept) + 1 / powers[i] * kept;
    }
    return frequencies;
  }

  /// The dimension that turns `rotations` times within the original length.
  private static double correction(Rope rope, Scaling.Yarn scaling, double rotations) {
    return rope.rotarySize()
        * Math.log(scaling.originalMaxPositions() / (rotations * 2 * Math.PI))
        / (2 * Math.log(rope.theta()));
  }

  private static double yarnAttention(Scaling.Yarn scaling) {
    if (!Double.isNaN(scaling.attentionFactor())) {
      return scaling.attentionFactor();
    }
    if (isSet(scaling.mscale()) && isSet(scaling.mscaleAllDim())) {
      return magnitude(scaling.factor(), scaling.mscale())
          / magnitude(scaling.factor(), scaling.mscaleAllDim());
    }
    return magnitude(scaling.factor(), 1);
  }

  private static boolean isSet(double value) {
    return !Double.isNaN(value) && value != 0;
  }

  private static double magnitude(double factor, double mscale) {
    return factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1;
  }

  /// Llama 3.1: wavelengths beyond the original context are stretched, those well within it kept,
  /// the ones between interpolated.
  private static float[] llama3(Rope rope, Scaling.Llama3 scaling) {
    float[] frequencies = plain(rope.theta(), rope.rotarySize());
    double original = scaling.originalMaxPositions();
    float longest = (float) (original / scaling.lowFrequencyFactor());
    float shortest = (float) (original / scaling.highFrequencyFactor());
    float low = (float) scaling.lowFrequencyFactor();
    float band = (float) (scaling.highFrequencyFactor() - scaling.lowFrequencyFactor());
    float factor = (float) scaling.factor();
    for (int i = 0; i < frequencies.length; i++) {
      float frequency = frequencies[i];
      float wavelength = (float) (2 * Math.PI) / frequency;
      if (wavelength > longest) {
        frequencies[i] = frequency / factor;
      } else if (wavelength >= shortest) {
        float smooth = ((float) original / wavelength - low) / band;
        frequencies[i] = (1 - smooth) * frequency / factor + smooth * frequency;
      }
    }
    return frequencies;
  }
}
