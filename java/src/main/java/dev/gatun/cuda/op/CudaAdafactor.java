package dev.gatun.cuda.op;

import static dev.gatun.cuda.op.DeviceStorage.pointer;

import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.Kernel;
import dev.gatun.cuda.KernelSpec;
import dev.gatun.cuda.LaunchConfig;
import dev.gatun.op.OptimizerOps.Adafactor;
import dev.gatun.op.OptimizerOps.SecondMoment;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;

/// Launches `adafactor.cu`.
final class CudaAdafactor {
  private static final KernelSpec<RowsParameters> ROWS =
      new KernelSpec<>("adafactor", "adafactor_rows_f32", RowsParameters.class);
  private static final KernelSpec<ColumnsParameters> COLUMNS =
      new KernelSpec<>("adafactor", "adafactor_columns_partial_f32", ColumnsParameters.class);
  private static final KernelSpec<MeansParameters> MEANS =
      new KernelSpec<>("adafactor", "adafactor_means_f32", MeansParameters.class);
  private static final KernelSpec<SquaresParameters> SQUARES =
      new KernelSpec<>("adafactor", "adafactor_squares_f32", SquaresParameters.class);
  private static final KernelSpec<UpdateParameters> UPDATE =
      new KernelSpec<>("adafactor", "adafactor_update_f32", UpdateParameters.class);

  // Fixed, so that the order of additions is.
  private static final int SQUARE_BLOCKS = 512;
  private static final int MOST_CHUNKS = 64;
  private static final int LEAST_CHUNK_ROWS = 256;
  private static final int THREADS = 256;
  private static final int TILE = 1024;

  private final Launcher launcher;
  private final Kernel<RowsParameters> rows;
  private final Kernel<ColumnsParameters> columns;
  private final Kernel<MeansParameters> means;
  private final Kernel<SquaresParameters> squares;
  private final Kernel<UpdateParameters> update;

  CudaAdafactor(Launcher launcher) {
    this.launcher = launcher;
    rows = launcher.kernel(ROWS);
    columns = launcher.kernel(COLUMNS);
    means = launcher.kernel(MEANS);
    squares = launcher.kernel(SQUARES);
    update = launcher.kernel(UPDATE);
  }

  static long scratchBytes(long rowCount, long columnCount) {
    return TensorArena.sizeOf(DType.F32, chunks(rowCount) * columnCount)
        + TensorArena.sizeOf(DType.F64, SQUARE_BLOCKS)
        + TensorArena.sizeOf(DType.F32, 1);
  }

  private static long chunkRows(long rowCount) {
    return Math.max(LEAST_CHUNK_ROWS, Math.ceilDiv(rowCount, (long) MOST_CHUNKS));
  }

  private static int chunks(long rowCount) {
    return Math.toIntExact(Math.ceilDiv(rowCount, chunkRows(rowCount)));
  }

  /// What the launches share.
  private record Problem(
      CudaMomentUpdates.Target target,
      DevicePtr gradient,
      DevicePtr rowState,
      DevicePtr columnState,
      long rows,
      long cols,
      Adafactor step) {
    static Problem of(CudaMomentUpdates.Target target, SecondMoment state, Adafactor step) {
      Tensor gradient = target.gradient();
      DevicePtr at = pointer(gradient, DType.F32, "gradient");
      return switch (state) {
        case SecondMoment.Factored(Tensor r, Tensor c) ->
            new Problem(
                target,
                at,
                pointer(r, DType.F32, "row state"),
                pointer(c, DType.F32, "column state"),
                gradient.rows(),
                gradient.cols(),
                step);
        case SecondMoment.Whole(Tensor v) ->
            new Problem(
                target,
                at,
                DevicePtr.NULL,
                pointer(v, DType.F32, "state"),
                1,
                gradient.count(),
                step);
      };
    }

    float decay() {
      return (float) step.decay();
    }

    float rate() {
      return (float) (1 - step.decay());
    }

    float epsilon() {
      return (float) step.epsilon();
    }

    int blocks(int most) {
      return (int) Math.min(rows * Math.ceilDiv(cols, (long) TILE), most);
    }
  }

  void run(
      CudaMomentUpdates.Target target, SecondMoment state, Adafactor step, TensorArena scratch) {
    if (target.count() == 0) {
      return;
    }
    long mark = scratch.mark();
    Problem problem = Problem.of(target, state, step);
    int chunks = chunks(problem.rows());
    DevicePtr partial = pointer(scratch.allocate(DType.F32, Shape.of(chunks, problem.cols())));
    DevicePtr sums = pointer(scratch.allocate(DType.F64, Shape.of(SQUARE_BLOCKS)));
    DevicePtr mean = pointer(scratch.allocate(DType.F32, Shape.of(1)));
    if (state instanceof SecondMoment.Factored) {
      averageRows(problem);
    }
    averageColumns(problem, partial, mean);
    move(problem, sums, mean);
    scratch.release(mark);
  }

  private void averageRows(Problem p) {
    launcher.launch(
        rows,
        launcher.gridStride(p.rows() * THREADS),
        new RowsParameters(
            p.rowState(),
            p.gradient(),
            p.target().norm(),
            p.target().maxNorm(),
            p.rows(),
            p.cols(),
            p.decay(),
            p.rate(),
            p.epsilon()));
  }

  private void averageColumns(Problem p, DevicePtr partial, DevicePtr mean) {
    int chunks = chunks(p.rows());
    launcher.launch(
        columns,
        LaunchConfig.cover(p.cols(), 32, THREADS)
            .withGrid(Math.toIntExact(Math.ceilDiv(p.cols(), 32L)), chunks, 1),
        new ColumnsParameters(
            partial,
            p.gradient(),
            p.target().norm(),
            p.target().maxNorm(),
            p.rows(),
            p.cols(),
            chunkRows(p.rows())));
    launcher.launch(
        means,
        LaunchConfig.of(Math.toIntExact(Math.ceilDiv(p.cols(), (long) THREADS) + 1), THREADS),
        new MeansParameters(
            p.columnState(),
            mean,
            partial,
            p.rowState(),
            chunks,
            p.rows(),
            p.cols(),
            p.decay(),
            p.rate(),
            p.epsilon()));
  }

  private void move(Problem p, DevicePtr sums, DevicePtr mean) {
    int blocks = p.blocks(SQUARE_BLOCKS);
    launcher.launch(
        squares,
        LaunchConfig.of(blocks, THREADS),
        new SquaresParameters(
            sums,
            p.gradient(),
            p.rowState(),
            mean,
            p.columnState(),
            p.target().norm(),
            p.target().maxNorm(),
            p.rows(),
            p.cols()));
    launcher.launch(
        update,
        LaunchConfig.of(p.blocks(4 * SQUARE_BLOCKS), THREADS),
        new UpdateParameters(
            pointer(p.target().parameter(), DType.F32, "parameter"),
            p.target().copy(),
            sums,
            p.gradient(),
            p.rowState(),
            mean,
            p.columnState(),
            p.target().norm(),
            p.target().maxNorm(),
            blocks,
            p.rows(),
            p.cols(),
            (float) (1 - p.step().learningRate() * p.step().weightDecay()),
            (float) p.step().learningRate(),
            (float) p.step().threshold()));
  }

  record RowsParameters(
      DevicePtr rowState,
      DevicePtr gradient,
      DevicePtr norm,
      float maxNorm,
      long rows,
      long cols,
      float decay,
      float oneMinusDecay,
      float epsilon) {}

  record ColumnsParameters(
      DevicePtr partial,
      DevicePtr gradient,
      DevicePtr norm,
      float maxNorm,
      long rows,
      long cols,
      long chunkRows) {}

  record MeansParameters(
      DevicePtr columnState,
      DevicePtr rowMean,
      DevicePtr partial,
      DevicePtr rowState,
      int chunks,
      long rows,
      long cols,
      float decay,
      float oneMinusDecay,
      float epsilon) {}

  record SquaresParameters(
      DevicePtr squares,
      DevicePtr gradient,
      DevicePtr rowState,
      DevicePtr rowMean,
      DevicePtr columnState,
      DevicePtr norm,
      float maxNorm,
      long rows,
      long cols) {}

  record UpdateParameters(
      DevicePtr parameter,
      DevicePtr copy,
      DevicePtr squares,
      DevicePtr gradient,
      DevicePtr rowState,
      DevicePtr rowMean,
      DevicePtr columnState,
      DevicePtr norm,
      float maxNorm,
      int squareCount,
      long rows,
      long cols,
      float decay,
      float learningRate,
      float threshold) {}
}
