package dev.gatun.cpu;

import dev.gatun.cpu.kernel.Kernels;
import dev.gatun.tensor.DType;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/// Matrix products of anything that has rows, dequantising on the fly: the classic scheme of packed
/// blocks (Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008).
///
/// Sums run over the depth in blocks of [#DEPTH] in ascending order whatever the split into tasks,
/// so the result does not depend on the number of threads.
final class Gemm {
  private static final int DEPTH = 256;
  private static final int COLS = 256;
  private static final int ROWS = 64;

  /// Up to this many rows of the left matrix, dot products beat packing.
  private static final int FEW_ROWS = 16;

  // Multiplications below which a second thread does not pay.
  private static final double SMALL = 200_000;

  private static final int SLOT_A = 0;
  private static final int SLOT_B = 1;
  private static final int SLOT_TILE = 2;
  private static final int SLOT_ROWS = 3;

  /// A factor: the source, or its transpose.
  record Operand(RowSource source, boolean transposed) {
    long rows() {
      return transposed ? source.cols() : source.rows();
    }

    long cols() {
      return transposed ? source.rows() : source.cols();
    }
  }

  /// Where a product goes: `target = initial + bias + product`.
  ///
  /// @param initial null for zero; may be the target
  /// @param bias one value a column, or null
  record Output(Rows target, @Nullable Rows initial, float @Nullable [] bias) {}

  private final WorkerPool pool;
  private final Kernels kernels;

  Gemm(WorkerPool pool, Kernels kernels) {
    this.pool = pool;
    this.kernels = kernels;
  }

  /// `target = alpha·a·b`.
  void replace(Rows target, Operand a, Operand b, float alpha) {
    run(new Output(target, null, null), a, b, alpha);
  }

  /// `target += alpha·a·b`.
  void add(Rows target, Operand a, Operand b, float alpha) {
    run(new Output(target, target, null), a, b, alpha);
  }

  /// `output = alpha·a·b`, a `[M, K]`, b `[K, N]`.
  void run(Output output, Operand a, Operand b, float alpha) {
    Rows target = output.target();
    if (target.dtype() != DType.F32) {
      throw new UnsupportedOperationException("the CPU multiplies into F32, not " + target.dtype());
    }
    if (a.rows() != target.rows() || b.cols() != target.cols() || a.cols() != b.rows()) {
      throw new IllegalArgumentException(
          "[%d, %d] x [%d, %d] into [%d, %d]"
              .formatted(a.rows(), a.cols(), b.rows(), b.cols(), target.rows(), target.cols()));
    }
    if (target.rows() == 0 || target.cols() == 0) {
      return;
    }
    if (a.rows() <= FEW_ROWS && b.transposed() && !a.transposed() && a.cols() > 0) {
      dots(output, a.source(), b.source(), alpha);
    } else {
      blocks(output, a, b, alpha);
    }
  }

  private void blocks(Output output, Operand a, Operand b, float alpha) {
    long m = a.rows();
    long n = b.cols();
    long rowUnits = (m + ROWS - 1) / ROWS;
    long wanted = (pool.threads() + rowUnits - 1) / rowUnits;
    long colBlocks =
        Math.max((n + COLS - 1) / COLS, Math.min(wanted, (n + Kernels.PANEL - 1) / Kernels.PANEL));
    int colSize = Kernels.padded((int) ((n + colBlocks - 1) / colBlocks), Kernels.PANEL);
    long colCount = (n + colSize - 1) / colSize;
    long rowBlocks = Math.min(rowUnits, (pool.threads() + colCount - 1) / colCount);
    long rowSize = (m + rowBlocks - 1) / rowBlocks;
    long rowCount = (m + rowSize - 1) / rowSize;
    double work = (double) Math.min(m, rowSize) * colSize * Math.max(1, a.cols());
    pool.run(
        rowCount * colCount,
        (long) Math.ceil(SMALL / work),
        (workspace, index) -> {
          long row = index / colCount * rowSize;
          long col = index % colCount * colSize;
          Block block =
              new Block(
                  row, Math.min(rowSize, m - row), col, (int) Math.min(colSize, n - col), a.cols());
          multiply(workspace, output, a, b, alpha, block);
        });
  }

  /// The part of the target that one task computes.
  private record Block(long row, long rows, long col, int cols, long depth) {}

  private void multiply(
      Workspace workspace, Output output, Operand a, Operand b, float alpha, Block block) {
    int padded = Kernels.padded(block.cols(), Kernels.PANEL);
    float[] tile = workspace.floats(SLOT_TILE, ROWS * padded);
    long k = 0;
    do {
      int depth = (int) Math.min(DEPTH, block.depth() - k);
      float[] packedB = workspace.floats(SLOT_B, COLS * DEPTH);
      packB(packedB, b, k, depth, block.col(), block.cols(), workspace);
      for (long i = 0; i < block.rows(); i += ROWS) {
        int rows = (int) Math.min(ROWS, block.rows() - i);
        int strips = Kernels.padded(rows, Kernels.STRIP);
        float[] packedA = workspace.floats(SLOT_A, ROWS * DEPTH);
        packA(packedA, a, block.row() + i, rows, k, depth, workspace);
        Arrays.fill(tile, 0, strips * padded, 0);
        kernels.multiply(
            tile, packedA, packedB, new Kernels.Tile(strips, block.cols(), depth, padded, depth));
        for (int r = 0; r < rows; r++) {
          store(output, k == 0, tile, r * padded, alpha, block.row() + i + r, block, workspace);
        }
      }
      k += DEPTH;
    } while (k < block.depth());
  }

  // Adds what a row starts from to the product and writes it.
  private static void store(
      Output output,
      boolean first,
      float[] tile,
      int at,
      float alpha,
      long row,
      Block block,
      Workspace workspace) {
    Rows target = output.target();
    int cols = block.cols();
    Rows initial = first ? output.initial() : target;
    float[] bias = first ? output.bias() : null;
    if (alpha == 1 && initial == null && bias == null) {
      target.write(row, block.col(), cols, tile, at);
      return;
    }
    float[] sum = workspace.floats(SLOT_ROWS, cols);
    if (initial == null) {
      Arrays.fill(sum, 0, cols, 0);
    } else {
      initial.read(row, block.col(), cols, sum, 0);
    }
    if (bias != null) {
      int from = (int) block.col();
      for (int j = 0; j < cols; j++) {
        sum[j] += bias[from + j];
      }
    }
    for (int j = 0; j < cols; j++) {
      sum[j] += alpha * tile[at + j];
    }
    target.write(row, block.col(), cols, sum, 0);
  }

  private static void packA(
      float[] packed, Operand a, long row, int rows, long k, int depth, Workspace workspace) {
    if (a.transposed()) {
      float[] line = workspace.floats(SLOT_ROWS, ROWS);
      for (int d = 0; d < depth; d++) {
        a.source().read(k + d, row, rows, line, 0);
        for (int i = 0; i < rows; i++) {
          packed[i * depth + d] = line[i];
        }
      }
    } else {
      for (int i = 0; i < rows; i++) {
        a.source().read(row + i, k, depth, packed, i * depth);
      }
    }
    Arrays.fill(packed, rows * depth, Kernels.padded(rows, Kernels.STRIP) * depth, 0);
  }

  private static void packB(
      float[] packed, Operand b, long k, int depth, long col, int cols, Workspace workspace) {
    if (b.transposed()) {
      float[] lines = workspace.floats(SLOT_ROWS, Kernels.PANEL * DEPTH);
      for (int panel = 0; panel < cols; panel += Kernels.PANEL) {
        int width = Math.min(Kernels.PANEL, cols - panel);
        for (int j = 0; j < width; j++) {
          b.source().read(col + panel + j, k, depth, lines, j * depth);
        }
        Arrays.fill(lines, width * depth, Kernels.PANEL * depth, 0);
        Panels.transpose(packed, panel * depth, lines, depth);
      }
    } else {
      float[] line = workspace.floats(SLOT_ROWS, Kernels.padded(COLS, Kernels.PANEL));
      int padded = Kernels.padded(cols, Kernels.PANEL);
      Arrays.fill(line, cols, padded, 0);
      for (int d = 0; d < depth; d++) {
        b.source().read(k + d, col, cols, line, 0);
        Panels.scatterRow(packed, 0, line, 0, padded, d, depth);
      }
    }
  }

  // A few rows times a transposed matrix: every row of the matrix is read once, and no more.
  private void dots(Output output, RowSource a, RowSource b, float alpha) {
    int m = (int) a.rows();
    int depth = Math.toIntExact(a.cols());
    long n = b.rows();
    int perTask =
        (int) Math.max(8, Math.min(COLS, (n + 4L * pool.threads() - 1) / (4L * pool.threads())));
    long tasks = (n + perTask - 1) / perTask;
    pool.run(
        tasks,
        (long) Math.ceil(SMALL / ((double) perTask * depth * m)),
        (workspace, task) -> {
          long first = task * perTask;
          int count = (int) Math.min(perTask, n - first);
          float[] lines = workspace.floats(SLOT_A, m * depth);
          for (int i = 0; i < m; i++) {
            a.read(i, 0, depth, lines, i * depth);
          }
          float[] line = workspace.floats(SLOT_B, depth);
          float[] tile = workspace.floats(SLOT_TILE, m * count);
          for (int j = 0; j < count; j++) {
            b.read(first + j, 0, depth, line, 0);
            for (int i = 0; i < m; i++) {
              tile[i * count + j] = kernels.dot(lines, i * depth, line, 0, depth);
            }
          }
          Block block = new Block(0, m, first, count, depth);
          for (int i = 0; i < m; i++) {
            store(output, true, tile, i * count, alpha, i, block, workspace);
          }
        });
  }
}
