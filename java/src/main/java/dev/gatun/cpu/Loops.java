package dev.gatun.cpu;

import dev.gatun.tensor.Tensor;
import java.util.Arrays;

/// The shapes of parallel loop that the op families share.
final class Loops {
  // Elements a task should touch at least, or waking a thread costs more than it saves.
  private static final int TASK = 16384;

  /// Columns that one task of a column reduction owns.
  private static final int COLUMNS = 64;

  /// What happens to one row.
  interface RowBody {
    void run(Workspace workspace, long row);
  }

  /// What happens to elements `from … from+count-1`.
  interface RangeBody {
    void run(Workspace workspace, long from, int count);
  }

  private final WorkerPool pool;

  Loops(WorkerPool pool) {
    this.pool = pool;
  }

  /// Runs `body` for every row, several rows a task.
  ///
  /// @param cost elements that one row touches
  void overRows(long rows, long cost, RowBody body) {
    long perTask = Math.max(1, TASK / Math.max(1, cost));
    pool.run(
        (rows + perTask - 1) / perTask,
        2,
        (workspace, task) -> {
          long end = Math.min(rows, (task + 1) * perTask);
          for (long row = task * perTask; row < end; row++) {
            body.run(workspace, row);
          }
        });
  }

  /// Runs `body` for consecutive ranges of a fixed size that cover `count` elements.
  void overRanges(long count, RangeBody body) {
    pool.run(
        (count + TASK - 1) / TASK,
        2,
        (workspace, task) ->
            body.run(workspace, task * TASK, (int) Math.min(TASK, count - task * TASK)));
  }

  /// Number of ranges of [#overRanges].
  static int rangeCount(long count) {
    return Math.toIntExact((count + TASK - 1) / TASK);
  }

  /// Index of the range that starts at `from`.
  static int rangeIndex(long from) {
    return Math.toIntExact(from / TASK);
  }

  /// Tasks own blocks of columns, so that sums over rows run in row order.
  void overColumnBlocks(long cols, long rows, RangeBody body) {
    long tasks = (cols + COLUMNS - 1) / COLUMNS;
    pool.run(
        tasks,
        Math.max(1, TASK / Math.max(1, rows * COLUMNS)) + 1,
        (workspace, task) ->
            body.run(workspace, task * COLUMNS, (int) Math.min(COLUMNS, cols - task * COLUMNS)));
  }

  /// `target[j] += Σ_row source[row][j]`, summed in double.
  void addColumnSums(Tensor target, Rows source) {
    Floats sums = Floats.of(target);
    overColumnBlocks(
        source.cols(),
        source.rows(),
        (workspace, from, count) -> {
          double[] total = new double[COLUMNS];
          Arrays.fill(total, 0);
          float[] values = workspace.floats(0, count);
          for (long row = 0; row < source.rows(); row++) {
            source.read(row, from, count, values, 0);
            for (int j = 0; j < count; j++) {
              total[j] += values[j];
            }
          }
          for (int j = 0; j < count; j++) {
            sums.set(from + j, (float) (sums.at(from + j) + total[j]));
          }
        });
  }
}
