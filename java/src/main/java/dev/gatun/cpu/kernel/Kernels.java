package dev.gatun.cpu.kernel;

/// The inner loops that decide the CPU backend's speed, over `float` arrays that fit a cache. There
/// are two sets: [PlainKernels] and, where the run time has the module, the Vector API's. Both are
/// deterministic; they may differ from each other in the last bits.
public interface Kernels {
  /// Rows of a block are padded to a multiple of this.
  int STRIP = 8;

  /// Columns of a packed panel; columns of a block are padded to a multiple of this.
  int PANEL = 32;

  /// What this is, for people: `plain`, `512-bit vectors`.
  String name();

  /// `c += a·b` on one block.
  ///
  /// @param c row-major, rows `tile.cStep()` apart
  /// @param a row-major, rows `tile.aStep()` apart
  /// @param b packed: panel `p` holds columns `32p … 32p+31`, row after row, from `p·32·depth` on
  void multiply(float[] c, float[] a, float[] b, Tile tile);

  /// `Σ a[aFrom+i]·b[bFrom+i]`.
  float dot(float[] a, int aFrom, float[] b, int bFrom, int count);

  /// Sum of squares.
  double sumOfSquares(float[] x, int from, int count);

  /// The largest element, or NaN if there is one.
  float max(float[] x, int from, int count);

  /// `x = exp(x − shift)` in place, for `x ≤ shift`; returns the sum of the results. Results below
  /// 2^-126 are 0.
  double expSum(float[] x, int from, int count, float shift);

  /// `h = silu(gate)·up`; `h` may be either input.
  void silu(float[] h, float[] gate, float[] up, int count);

  /// Gradients of [#silu]: `dgate = dh·up·silu'(gate)`, `dup = dh·silu(gate)`, and `h` again;
  /// outputs may be inputs of the same index.
  void siluBackward(SiluGradients outputs, float[] dh, float[] gate, float[] up, int count);

  /// Extent of a block product.
  ///
  /// @param rows of `c` and `a`, a multiple of [#STRIP]
  /// @param cols of `c` that are wanted; computed up to the next multiple of [#PANEL]
  /// @param depth columns of `a`, rows of `b`
  record Tile(int rows, int cols, int depth, int cStep, int aStep) {}

  /// Where [#siluBackward] writes.
  record SiluGradients(float[] dgate, float[] dup, float[] h) {}

  /// `size` rounded up to a multiple of `unit`.
  static int padded(int size, int unit) {
    return (size + unit - 1) / unit * unit;
  }
}
