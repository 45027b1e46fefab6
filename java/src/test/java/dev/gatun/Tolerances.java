package dev.gatun;

import dev.gatun.tensor.DType;

/// Every tolerance of the tests, in one place. Conformance parts carry the kit's own.
public final class Tolerances {
  /// An op may be off by this many times what a naive computation of the same precision is off.
  public static final double NAIVE_ERROR_FACTOR = 2;

  /// On top of that, roundings of the largest element: results are rounded once to their type, and
  /// a naive computation may be exact by luck.
  public static final double OUTPUT_ROUNDINGS = 2;

  /// Relative difference between an analytic gradient and central differences in double precision.
  public static final double FINITE_DIFFERENCE = 1e-6;

  /// Error of the single-precision exponential in units in the last place.
  public static final double EXPONENTIAL_ULPS = 2;

  /// Relative error of a sum of exponentials that is kept in F32 for a stretch.
  public static final double EXPONENTIAL_SUM = 1e-6;

  /// A float that was printed with few digits: a rounding on either side.
  public static final double PRINTED_FLOAT = 2e-7;

  /// Relative difference after a few updates that only sum in another order.
  public static final double SUMMATION_ORDER = 1e-5;

  /// How much farther than the nearest code a value in [-1, 1] may lie from its own: the roundings
  /// that decide between two codes that are about equally near.
  public static final double CODE_ROUNDING = 1e-6;

  private Tolerances() {}

  /// Half the distance between 1 and the next number of a type: the relative error of one rounding.
  public static double unitRoundoff(DType dtype) {
    return switch (dtype) {
      case F64 -> 0x1p-53;
      case F32 -> 0x1p-24;
      case F16 -> 0x1p-11;
      case BF16 -> 0x1p-8;
      case I64, I32, I16, I8, U8, BOOL -> 0;
    };
  }

  /// A float32 gradient against a float64 finite difference, relative to the parameter's largest
  /// gradient: sums of a few hundred products, each rounded to 24 bits.
  public static final double GRADIENT_OF_SINGLE = 5e-5;

  /// Float32 logits and losses of a tiny model against another order of the same sums.
  public static final double SINGLE = 2e-5;
}
