package dev.gatun.nn;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.model.Rope;
import dev.gatun.model.Rope.Scaling;
import org.junit.jupiter.api.Test;

/// Expected figures come from transformers 5.18 (`modeling_rope_utils.py`).
class RopeFrequenciesTest {
  private static final double UNSET = Double.NaN;

  @Test
  void linear() {
    check(
        new Rope(1e4, 10, new Scaling.Linear(2.5)),
        0,
        1,
        0.4000000059604645,
        0.06339572370052338,
        0.010047545656561852,
        0.0015924284234642982,
        0.00025238291709683836);
  }

  @Test
  void dynamicWithinTheOriginalLength() {
    double[] expected = {
      1,
      0.2154434770345688,
      0.04641588404774666,
      0.009999999776482582,
      0.002154434332624078,
      0.0004641590057872236
    };
    check(new Rope(1e4, 12, new Scaling.Dynamic(4, 64)), 0, 1, expected);
    check(new Rope(1e4, 12, new Scaling.Dynamic(4, 64)), 64, 1, expected);
  }

  @Test
  void dynamicBeyondTheOriginalLength() {
    check(
        new Rope(1e4, 12, new Scaling.Dynamic(4, 64)),
        65,
        1,
        1,
        0.2128470093011856,
        0.045303843915462494,
        0.009642788209021091,
        0.002052438212558627,
        0.00043685550917871296);
    check(
        new Rope(1e4, 12, new Scaling.Dynamic(4, 64)),
        200,
        1,
        1,
        0.137337327003479,
        0.018861541524529457,
        0.002590394113212824,
        0.0003557577438186854,
        4.885884118266404e-05);
  }

  @Test
  void yarn() {
    double[] expected = {
      1,
      0.2569350600242615,
      0.0625,
      0.013834965415298939,
      0.0024999999441206455,
      0.0007905694656074047,
      0.0002500000118743628,
      7.905694656074047e-05
    };
    check(yarn(32, 1, UNSET, UNSET, UNSET, true), 0, 1.138629436111989, expected);
    check(yarn(32, 1, UNSET, 0.7, 1.2, true), 0, 0.9405715251010841, expected);
    check(yarn(32, 1, 1.25, 0.7, 1.2, true), 0, 1.25, expected);
  }

  @Test
  void yarnUntruncated() {
    check(
        yarn(20, 2, UNSET, UNSET, UNSET, false),
        0,
        1.138629436111989,
        1,
        0.2709352970123291,
        0.04817725718021393,
        0.007905694656074047,
        0.0024999999441206455,
        0.0007905694656074047,
        0.0002500000118743628,
        7.905694656074047e-05);
  }

  private static Rope yarn(
      double fast, double slow, double attention, double mscale, double all, boolean truncate) {
    return new Rope(
        1e4, 16, new Scaling.Yarn(4, 256, fast, slow, attention, mscale, all, truncate));
  }

  @Test
  void llama3() {
    check(
        new Rope(5e5, 16, new Scaling.Llama3(8, 1, 4, 8192)),
        0,
        1,
        1,
        0.193922758102417,
        0.03760603070259094,
        0.00729266507551074,
        0.0005248460220173001,
        3.428102354519069e-05,
        6.647870577580761e-06,
        1.289173155782919e-06);
  }

  /// Two units in the last place: the power functions of two libraries.
  private static void check(Rope rope, int length, double attention, double... expected) {
    float[] actual = RopeFrequencies.inverse(rope, length);

    assertThat(actual).hasSameSizeAs(expected);
    for (int i = 0; i < expected.length; i++) {
      assertThat(Math.abs(actual[i] - (float) expected[i]))
          .as("[%d]: %s, expected %s", i, actual[i], expected[i])
          .isLessThanOrEqualTo(2 * Math.ulp((float) expected[i]));
    }
    assertThat(RopeFrequencies.attentionFactor(rope)).isEqualTo(attention);
  }
}
