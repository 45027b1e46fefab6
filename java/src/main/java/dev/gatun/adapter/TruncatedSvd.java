package dev.gatun.adapter;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/// The largest singular values of a matrix and their vectors, by the bidiagonalisation of Golub,
/// Kahan and Lanczos with full reorthogonalisation (Golub and Van Loan, "Matrix Computations",
/// 10.4): the matrix is only multiplied with vectors, some ten times for each value wanted. In
/// double precision; the result depends on nothing but the arguments.
///
/// @param values descending
/// @param left `[m]` for each value
/// @param right `[n]` for each value
record TruncatedSvd(double[] values, double[][] left, double[][] right) {
  // What is left of AᵀU − V·Σ, as a part of the largest value: what single precision leaves.
  private static final double RESIDUAL = 1e-7;
  private static final double GROWTH = 1.3;
  private static final double TINY = 1e-13;

  /// @param matrix row-major, `n` columns
  /// @param count values wanted; at most the smaller side is returned
  /// @param seed of the starting vector
  static TruncatedSvd of(float[] matrix, int n, int count, long seed) {
    int m = n == 0 ? 0 : matrix.length / n;
    int full = Math.min(m, n);
    int wanted = Math.min(count, full);
    Lanczos lanczos = new Lanczos(matrix, m, n, new SplittableRandom(seed));
    int next = Math.min(full, 2 * wanted + 16);
    while (true) {
      while (lanczos.size() < next) {
        lanczos.extend();
      }
      SmallSvd small = SmallSvd.of(lanczos.bidiagonal());
      if (next == full || lanczos.residual(small, wanted) <= RESIDUAL * small.values()[0]) {
        return lanczos.vectors(small, wanted);
      }
      next = Math.min(full, (int) Math.ceil(GROWTH * next));
    }
  }

  /// `A·V = U·B` and `Aᵀ·U = V·Bᵀ + β·v·eᵀ` with B upper bidiagonal.
  private static final class Lanczos {
    private final float[] matrix;
    private final int cols;
    private final boolean transposed;
    private final int m;
    private final int n;
    private final SplittableRandom random;
    private final List<double[]> left = new ArrayList<>();
    private final List<double[]> right = new ArrayList<>();
    private final List<Double> diagonal = new ArrayList<>();
    // Above the diagonal; the last belongs to the vector of V that comes next.
    private final List<Double> above = new ArrayList<>();
    private double[] next;
    private double largest;

    // Of a wide matrix the transpose: in the end V spans everything, and the values are exact.
    Lanczos(float[] matrix, int rows, int cols, SplittableRandom random) {
      this.matrix = matrix;
      this.cols = cols;
      this.random = random;
      transposed = rows < cols;
      m = Math.max(rows, cols);
      n = Math.min(rows, cols);
      next = new double[n];
      orthonormal(next, right);
    }

    int size() {
      return diagonal.size();
    }

    void extend() {
      double[] v = next;
      right.add(v);
      double[] u = transposed ? sumOfRows(v) : products(v);
      if (!left.isEmpty()) {
        subtract(u, above.getLast(), left.getLast());
      }
      diagonal.add(normalised(u, left));
      left.add(u);
      double[] w = transposed ? products(u) : sumOfRows(u);
      subtract(w, diagonal.getLast(), v);
      // V spans everything: there is nothing beyond the last vector.
      above.add(right.size() == n ? 0 : normalised(w, right));
      next = w;
    }

    /// Makes `x` a unit vector orthogonal to `others`; its length before, or 0 where it had none
    /// and any such vector took its place.
    private double normalised(double[] x, List<double[]> others) {
      orthogonalise(x, others);
      double norm = norm(x);
      largest = Math.max(largest, norm);
      if (norm > TINY * largest) {
        scale(x, 1 / norm);
        return norm;
      }
      orthonormal(x, others);
      return 0;
    }

    private void orthonormal(double[] x, List<double[]> others) {
      for (int i = 0; i < x.length; i++) {
        x[i] = random.nextDouble() - 0.5;
      }
      orthogonalise(x, others);
      scale(x, 1 / norm(x));
    }

    // Gram and Schmidt's method, twice for accuracy.
    private static void orthogonalise(double[] x, List<double[]> others) {
      for (int pass = 0; pass < 2; pass++) {
        for (double[] other : others) {
          subtract(x, dot(x, other), other);
        }
      }
    }

    private double[] products(double[] x) {
      double[] y = new double[matrix.length / cols];
      for (int row = 0; row < y.length; row++) {
        y[row] = product(row, x);
      }
      return y;
    }

    private double[] sumOfRows(double[] factors) {
      double[] y = new double[cols];
      for (int row = 0; row < factors.length; row++) {
        int at = row * cols;
        double factor = factors[row];
        for (int i = 0; i < cols; i++) {
          y[i] += factor * matrix[at + i];
        }
      }
      return y;
    }

    private double product(int row, double[] v) {
      int at = row * cols;
      double a = 0;
      double b = 0;
      double c = 0;
      double d = 0;
      int i = 0;
      for (; i + 3 < cols; i += 4) {
        a += matrix[at + i] * v[i];
        b += matrix[at + i + 1] * v[i + 1];
        c += matrix[at + i + 2] * v[i + 2];
        d += matrix[at + i + 3] * v[i + 3];
      }
      for (; i < cols; i++) {
        a += matrix[at + i] * v[i];
      }
      return a + b + (c + d);
    }

    double[][] bidiagonal() {
      int k = size();
      double[][] columns = new double[k][k];
      for (int i = 0; i < k; i++) {
        columns[i][i] = diagonal.get(i);
        if (i > 0) {
          columns[i][i - 1] = above.get(i - 1);
        }
      }
      return columns;
    }

    /// The largest part of `Aᵀ·u` that leaves V, of the triplets wanted.
    double residual(SmallSvd small, int wanted) {
      double worst = 0;
      for (int i = 0; i < wanted; i++) {
        worst = Math.max(worst, Math.abs(above.getLast() * small.left()[i][size() - 1]));
      }
      return worst;
    }

    TruncatedSvd vectors(SmallSvd small, int wanted) {
      double[][] u = new double[wanted][];
      double[][] v = new double[wanted][];
      for (int i = 0; i < wanted; i++) {
        u[i] = combination(left, small.left()[i], m);
        v[i] = combination(right, small.right()[i], n);
      }
      double[] values = Arrays.copyOf(small.values(), wanted);
      return transposed ? new TruncatedSvd(values, v, u) : new TruncatedSvd(values, u, v);
    }

    private static double[] combination(List<double[]> vectors, double[] factors, int size) {
      double[] sum = new double[size];
      for (int i = 0; i < factors.length; i++) {
        subtract(sum, -factors[i], vectors.get(i));
      }
      return sum;
    }
  }

  /// All singular values of a small square matrix by one-sided Jacobi rotations (Hestenes, 1958).
  ///
  /// @param values descending
  /// @param left and `right`: a vector for each value; left ones of value 0 are 0
  private record SmallSvd(double[] values, double[][] left, double[][] right) {
    private static final int MOST_SWEEPS = 60;

    /// @param columns of the matrix; overwritten
    static SmallSvd of(double[][] columns) {
      int k = columns.length;
      double[][] rotations = new double[k][k];
      for (int i = 0; i < k; i++) {
        rotations[i][i] = 1;
      }
      boolean rotated = true;
      for (int sweep = 0; rotated && sweep < MOST_SWEEPS; sweep++) {
        rotated = false;
        for (int p = 0; p < k; p++) {
          for (int q = p + 1; q < k; q++) {
            rotated |= rotate(columns, rotations, p, q);
          }
        }
      }
      double[] norms = Arrays.stream(columns).mapToDouble(TruncatedSvd::norm).toArray();
      Integer[] order = new Integer[k];
      Arrays.setAll(order, i -> i);
      Arrays.sort(order, (a, b) -> Double.compare(norms[b], norms[a]));
      double[] values = new double[k];
      double[][] left = new double[k][];
      double[][] right = new double[k][];
      for (int i = 0; i < k; i++) {
        values[i] = norms[order[i]];
        left[i] = columns[order[i]];
        scale(left[i], values[i] == 0 ? 0 : 1 / values[i]);
        right[i] = rotations[order[i]];
      }
      return new SmallSvd(values, left, right);
    }

    private static boolean rotate(double[][] columns, double[][] rotations, int p, int q) {
      double pp = dot(columns[p], columns[p]);
      double qq = dot(columns[q], columns[q]);
      double pq = dot(columns[p], columns[q]);
      if (Math.abs(pq) <= 1e-15 * Math.sqrt(pp * qq)) {
        return false;
      }
      double zeta = (qq - pp) / (2 * pq);
      double tangent = Math.copySign(1, zeta) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
      double cosine = 1 / Math.sqrt(1 + tangent * tangent);
      double sine = cosine * tangent;
      rotate(columns[p], columns[q], cosine, sine);
      rotate(rotations[p], rotations[q], cosine, sine);
      return true;
    }

    private static void rotate(double[] x, double[] y, double cosine, double sine) {
      for (int i = 0; i < x.length; i++) {
        double a = x[i];
        x[i] = cosine * a - sine * y[i];
        y[i] = sine * a + cosine * y[i];
      }
    }
  }

  private static double dot(double[] x, double[] y) {
    double sum = 0;
    for (int i = 0; i < x.length; i++) {
      sum += x[i] * y[i];
    }
    return sum;
  }

  private static double norm(double[] x) {
    return Math.sqrt(dot(x, x));
  }

  private static void scale(double[] x, double factor) {
    for (int i = 0; i < x.length; i++) {
      x[i] *= factor;
    }
  }

  /// `x −= factor·y`.
  private static void subtract(double[] x, double factor, double[] y) {
    for (int i = 0; i < x.length; i++) {
      x[i] -= factor * y[i];
    }
  }
}
