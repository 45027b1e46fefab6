package dev.gatun.op;

import dev.gatun.tensor.Bf16;
import dev.gatun.tensor.DType;

/// The roundings of an [Oracle] run: none, or those of a naive implementation that computes in F32
/// and stores intermediate tensors in the activation type.
enum Precision {
  EXACT,
  F32,
  BF16;

  static Precision of(DType activation) {
    return switch (activation) {
      case F32 -> F32;
      case BF16 -> BF16;
      case F64, F16, I64, I32, I16, I8, U8, BOOL ->
          throw new IllegalArgumentException(activation.toString());
    };
  }

  /// The result of one arithmetic operation.
  double op(double x) {
    return this == EXACT ? x : (float) x;
  }

  /// A value that is written to an activation.
  double store(double x) {
    return switch (this) {
      case EXACT -> x;
      case F32 -> (float) x;
      case BF16 -> Bf16.round((float) x);
    };
  }

  double[] store(double[] values) {
    double[] stored = new double[values.length];
    for (int i = 0; i < values.length; i++) {
      stored[i] = store(values[i]);
    }
    return stored;
  }

  /// `Σ_k a[k]·b[k]` over strided vectors, one rounding an operation.
  double dot(double[] a, int aAt, int aStep, double[] b, int bAt, int bStep, int count) {
    double sum = 0;
    for (int k = 0; k < count; k++) {
      sum = op(sum + op(a[aAt + k * aStep] * b[bAt + k * bStep]));
    }
    return sum;
  }
}
