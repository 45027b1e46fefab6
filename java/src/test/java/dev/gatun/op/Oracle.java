package dev.gatun.op;

/// What the op families mean, written as plainly as possible over row-major `double` arrays. With
/// [Precision#EXACT] it is the truth; with another precision it is the naive computation whose
/// error bounds what an implementation may be off. Attention and loss have classes of their own.
final class Oracle {
  private Oracle() {}

  /// `a [m, k] · b [k, n]`, either given as its transpose.
  static double[] matmul(
      Precision p, double[] a, boolean aT, double[] b, boolean bT, int m, int n, int k) {
    double[] c = new double[m * n];
    for (int i = 0; i < m; i++) {
      for (int j = 0; j < n; j++) {
        c[i * n + j] = p.dot(a, aT ? i : i * k, aT ? m : 1, b, bT ? j * k : j, bT ? 1 : n, k);
      }
    }
    return c;
  }

  static double[] add(Precision p, double[] a, double[] b) {
    double[] c = new double[a.length];
    for (int i = 0; i < a.length; i++) {
      c[i] = p.op(a[i] + b[i]);
    }
    return c;
  }

  static double[] scaled(Precision p, double[] a, double factor) {
    double[] c = new double[a.length];
    for (int i = 0; i < a.length; i++) {
      c[i] = p.op(a[i] * factor);
    }
    return c;
  }

  static double[] columnSums(Precision p, double[] a, int rows, int cols) {
    double[] sums = new double[cols];
    for (int i = 0; i < rows; i++) {
      for (int j = 0; j < cols; j++) {
        sums[j] = p.op(sums[j] + a[i * cols + j]);
      }
    }
    return sums;
  }

  /// Per vector: `1/sqrt(mean(x²) + eps)`.
  static double[] rstd(Precision p, double[] x, int n, double epsilon) {
    double[] rstd = new double[x.length / n];
    for (int r = 0; r < rstd.length; r++) {
      double mean = p.op(p.dot(x, r * n, 1, x, r * n, 1, n) / n);
      rstd[r] = p.op(1 / p.op(Math.sqrt(p.op(mean + epsilon))));
    }
    return rstd;
  }

  static double[] rmsNorm(
      Precision p, double[] x, double[] w, double[] rstd, double offset, int n) {
    double[] y = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      y[i] = p.op(p.op(x[i] * rstd[i / n]) * p.op(offset + w[i % n]));
    }
    return y;
  }

  static double[] rmsNormInputGradient(
      Precision p, double[] dy, double[] x, double[] w, double[] rstd, double offset, int n) {
    double[] dx = new double[x.length];
    for (int r = 0; r < rstd.length; r++) {
      double along = 0;
      for (int j = 0; j < n; j++) {
        double g = p.op(dy[r * n + j] * p.op(offset + w[j]));
        along = p.op(along + p.op(g * p.op(x[r * n + j] * rstd[r])));
      }
      along = p.op(along / n);
      for (int j = 0; j < n; j++) {
        double g = p.op(dy[r * n + j] * p.op(offset + w[j]));
        double xHat = p.op(x[r * n + j] * rstd[r]);
        dx[r * n + j] = p.op(rstd[r] * p.op(g - p.op(xHat * along)));
      }
    }
    return dx;
  }

  static double[] rmsNormWeightGradient(
      Precision p, double[] dy, double[] x, double[] rstd, int n) {
    double[] dw = new double[n];
    for (int i = 0; i < x.length; i++) {
      dw[i % n] = p.op(dw[i % n] + p.op(dy[i] * p.op(x[i] * rstd[i / n])));
    }
    return dw;
  }

  /// Rotates the first `2·half` elements of every head of `size`.
  static double[] rope(
      Precision p,
      double[] x,
      int heads,
      int size,
      int[] rows,
      double[] cos,
      double[] sin,
      int half,
      boolean inverse) {
    double[] y = x.clone();
    for (int t = 0; t < rows.length; t++) {
      for (int h = 0; h < heads; h++) {
        for (int i = 0; i < half; i++) {
          int at = (t * heads + h) * size + i;
          double c = cos[rows[t] * half + i];
          double s = (inverse ? -1 : 1) * sin[rows[t] * half + i];
          y[at] = p.op(p.op(x[at] * c) - p.op(x[at + half] * s));
          y[at + half] = p.op(p.op(x[at + half] * c) + p.op(x[at] * s));
        }
      }
    }
    return y;
  }

  static double activation(MlpOps.Activation activation, double x) {
    return switch (activation) {
      case SILU -> x / (1 + Math.exp(-x));
      case GELU_TANH ->
          0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
      case GELU -> 0.5 * x * (1 + erf(x / Math.sqrt(2)));
    };
  }

  /// The slope by central differences of fourth order: independent of any formula.
  static double activationSlope(MlpOps.Activation activation, double x) {
    double h = 1e-3;
    return (8 * (activation(activation, x + h) - activation(activation, x - h))
            - (activation(activation, x + 2 * h) - activation(activation, x - 2 * h)))
        / (12 * h);
  }

  /// The error function by Simpson's rule.
  private static double erf(double x) {
    int steps = 2000;
    double h = x / steps;
    double sum = 1 + Math.exp(-x * x);
    for (int i = 1; i < steps; i++) {
      sum += (i % 2 == 0 ? 2 : 4) * Math.exp(-(i * h) * (i * h));
    }
    return 2 / Math.sqrt(Math.PI) * sum * h / 3;
  }
}
