package dev.gatun.cuda;

/// The form of a matrix product `D = alpha · op(A) · op(B) + beta · C` of row-major matrices: A and
/// B bf16, C and D of one type, sums in fp32. `op` transposes or not; strides are elements from one
/// row to the next.
///
/// @param m rows of op(A), C and D
/// @param n columns of op(B), C and D
/// @param k columns of op(A), rows of op(B)
/// @param a `[m, k]`, or `[k, m]` if transposed
/// @param b `[k, n]`, or `[n, k]` if transposed
/// @param strideC row stride of C `[m, n]`; not read where beta is 0
/// @param strideD row stride of D `[m, n]`
public record Gemm(
    long m, long n, long k, Operand a, Operand b, long strideC, long strideD, Output output) {

  /// How an input matrix is stored.
  public record Operand(boolean transposed, long stride) {}

  /// Element type of C and D.
  public enum Output {
    BF16,
    F32
  }

  public Gemm {
    if (m < 1 || n < 1 || k < 1) {
      throw new IllegalArgumentException("empty product of %d x %d x %d".formatted(m, n, k));
    }
    requireStride("A", a.stride(), a.transposed() ? m : k);
    requireStride("B", b.stride(), b.transposed() ? k : n);
    requireStride("C", strideC, n);
    requireStride("D", strideD, n);
  }

  /// `D [m, n] = A [m, k] · B [k, n]`, all contiguous.
  public static Gemm plain(long m, long n, long k, Output output) {
    return new Gemm(m, n, k, new Operand(false, k), new Operand(false, n), n, n, output);
  }

  /// `D [m, n] = A [m, k] · B [n, k]ᵀ`, all contiguous: a linear layer with weight B.
  public static Gemm linear(long m, long n, long k, Output output) {
    return new Gemm(m, n, k, new Operand(false, k), new Operand(true, k), n, n, output);
  }

  /// `D [m, n] = A [k, m]ᵀ · B [k, n]`, all contiguous: a weight's gradient.
  public static Gemm outer(long m, long n, long k, Output output) {
    return new Gemm(m, n, k, new Operand(true, m), new Operand(false, n), n, n, output);
  }

  private static void requireStride(String matrix, long stride, long columns) {
    if (stride < columns) {
      throw new IllegalArgumentException(
          "rows of %s are %d elements apart but %d long".formatted(matrix, stride, columns));
    }
  }
}
