package dev.gatun.cuda.op;

import static dev.gatun.cuda.op.DeviceStorage.pointer;
import static dev.gatun.cuda.op.DeviceStorage.pointerOrNull;

import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.Kernel;
import dev.gatun.cuda.KernelSpec;
import dev.gatun.cuda.LaunchConfig;
import dev.gatun.op.NormOps;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// Launches `norm.cu`.
final class CudaNormOps implements NormOps {
  private static final KernelSpec<Forward> FORWARD_WARP =
      new KernelSpec<>("norm", "rms_norm_forward_bf16_warp", Forward.class);
  private static final KernelSpec<Forward> FORWARD_ROWS_4096 =
      new KernelSpec<>("norm", "rms_norm_forward_bf16_rows4096", Forward.class);
  private static final KernelSpec<Forward> FORWARD_ROWS_8192 =
      new KernelSpec<>("norm", "rms_norm_forward_bf16_rows8192", Forward.class);
  private static final KernelSpec<Forward> FORWARD_BLOCK =
      new KernelSpec<>("norm", "rms_norm_forward_bf16_block", Forward.class);
  private static final KernelSpec<Backward> BACKWARD_WARP =
      new KernelSpec<>("norm", "rms_norm_backward_bf16_warp", Backward.class);
  private static final KernelSpec<Backward> BACKWARD_ROWS_4096 =
      new KernelSpec<>("norm", "rms_norm_backward_bf16_rows4096", Backward.class);
  private static final KernelSpec<Backward> BACKWARD_ROWS_8192 =
      new KernelSpec<>("norm", "rms_norm_backward_bf16_rows8192", Backward.class);
  private static final KernelSpec<Backward> BACKWARD_BLOCK =
      new KernelSpec<>("norm", "rms_norm_backward_bf16_block", Backward.class);
  private static final KernelSpec<WeightPartial> WEIGHT_PARTIAL =
      new KernelSpec<>("norm", "rms_norm_weight_partial_bf16", WeightPartial.class);

  private static final int WARP_LIMIT = 1024; // longer vectors get a block of their own
  private static final int MANY_ROWS_PER_BLOCK =
      4; // from here on keeping the weight in registers pays
  private static final int BLOCKS_PER_MULTIPROCESSOR = 4;
  private static final int CHUNKS = 64;

  private final Launcher launcher;
  private final Kernels<Forward> forward;
  private final Kernels<Backward> backward;
  private final Kernel<WeightPartial> weightPartial;
  private final ColumnSum columnSum;

  CudaNormOps(Launcher launcher) {
    this.launcher = launcher;
    forward =
        new Kernels<>(
            launcher.kernel(FORWARD_WARP),
            launcher.kernel(FORWARD_BLOCK),
            launcher.kernel(FORWARD_ROWS_4096),
            launcher.kernel(FORWARD_ROWS_8192));
    backward =
        new Kernels<>(
            launcher.kernel(BACKWARD_WARP),
            launcher.kernel(BACKWARD_BLOCK),
            launcher.kernel(BACKWARD_ROWS_4096),
            launcher.kernel(BACKWARD_ROWS_8192));
    weightPartial = launcher.kernel(WEIGHT_PARTIAL);
    columnSum = new ColumnSum(launcher);
  }

  @Override
  public void forward(
      Tensor y, @Nullable Tensor rstd, Tensor x, Tensor weight, float epsilon, float offset) {
    int n = Math.toIntExact(weight.count());
    int heads = Math.toIntExact(x.cols() / n);
    long rows = x.rows() * heads;
    if (rows == 0) {
      return;
    }
    int vector = Launcher.vector(n, y, x, weight);
    Geometry geometry = geometry(rows, n, vector);
    launcher.launch(
        forward.choose(geometry, n),
        geometry.config(),
        new Forward(
            pointer(y, DType.BF16, "y"),
            pointerOrNull(rstd),
            pointer(x, DType.BF16, "x"),
            pointer(weight),
            Launcher.typeCode(weight.dtype()),
            rows,
            heads,
            n,
            y.rowStride(),
            x.rowStride(),
            epsilon,
            offset,
            vector));
  }

  @Override
  public void backward(
      Tensor dx,
      @Nullable Tensor dweight,
      Tensor dy,
      @Nullable Tensor residual,
      Tensor x,
      Tensor weight,
      Tensor rstd,
      float offset,
      TensorArena scratch) {
    int n = Math.toIntExact(weight.count());
    int heads = Math.toIntExact(x.cols() / n);
    long rows = x.rows() * heads;
    if (rows == 0) {
      return;
    }
    if (dweight != null) {
      // First, because dx may be dy.
      weightGradient(dweight, dy, x, rstd, rows, heads, scratch);
    }
    Tensor passed = residual == null ? dy : residual;
    int vector = Launcher.vector(n, dx, dy, passed, x, weight);
    Geometry geometry = geometry(rows, n, vector);
    launcher.launch(
        backward.choose(geometry, n),
        geometry.config(),
        new Backward(
            pointer(dx, DType.BF16, "dx"),
            pointer(dy, DType.BF16, "dy"),
            pointerOrNull(residual),
            pointer(x, DType.BF16, "x"),
            pointer(weight),
            Launcher.typeCode(weight.dtype()),
            pointer(rstd, DType.F32, "rstd"),
            rows,
            heads,
            n,
            dx.rowStride(),
            dy.rowStride(),
            passed.rowStride(),
            x.rowStride(),
            offset,
            vector));
  }

  @Override
  public long scratchBytes(long rows, long n) {
    return TensorArena.sizeOf(DType.F32, CHUNKS * n);
  }

  private void weightGradient(
      Tensor dweight, Tensor dy, Tensor x, Tensor rstd, long rows, int heads, TensorArena scratch) {
    int n = Math.toIntExact(dweight.count());
    int chunks = (int) Math.min(CHUNKS, rows);
    long mark = scratch.mark();
    Tensor partial = scratch.allocate(DType.F32, Shape.of(chunks, n));
    launcher.launch(
        weightPartial,
        LaunchConfig.cover(n, 128, 128).withGrid(Math.ceilDiv(n, 128), chunks, 1),
        new WeightPartial(
            pointer(partial),
            pointer(dy, DType.BF16, "dy"),
            pointer(x, DType.BF16, "x"),
            pointer(rstd, DType.F32, "rstd"),
            rows,
            heads,
            n,
            dy.rowStride(),
            x.rowStride(),
            Math.ceilDiv(rows, (long) chunks)));
    columnSum.add(dweight, partial, chunks);
    scratch.release(mark);
  }

  private enum Kind {
    WARP,
    BLOCK,
    ROWS
  }

  private record Geometry(Kind kind, LaunchConfig config) {}

  private record Kernels<P extends Record>(
      Kernel<P> warp, Kernel<P> block, Kernel<P> rows4096, Kernel<P> rows8192) {
    Kernel<P> choose(Geometry geometry, int n) {
      return switch (geometry.kind()) {
        case WARP -> warp;
        case BLOCK -> block;
        case ROWS -> n <= 4096 ? rows4096 : rows8192;
      };
    }
  }

  private Geometry geometry(long rows, int n, int vector) {
    if (n <= WARP_LIMIT) {
      return new Geometry(Kind.WARP, LaunchConfig.cover(rows, 8, 256));
    }
    int blocks = launcher.context().device().multiprocessors() * BLOCKS_PER_MULTIPROCESSOR;
    return vector == 1 && n <= 8192 && rows >= (long) blocks * MANY_ROWS_PER_BLOCK
        ? new Geometry(Kind.ROWS, LaunchConfig.of(blocks, 256))
        : new Geometry(Kind.BLOCK, LaunchConfig.cover(rows, 1, 256));
  }

  record Forward(
      DevicePtr y,
      DevicePtr rstd,
      DevicePtr x,
      DevicePtr w,
      int wType,
      long rows,
      int heads,
      int n,
      long yStride,
      long xStride,
      float eps,
      float offset,
      int vector) {}

  record Backward(
      DevicePtr dx,
      DevicePtr dy,
      DevicePtr residual,
      DevicePtr x,
      DevicePtr w,
      int wType,
      DevicePtr rstd,
      long rows,
      int heads,
      int n,
      long dxStride,
      long dyStride,
      long residualStride,
      long xStride,
      float offset,
      int vector) {}

  record WeightPartial(
      DevicePtr partial,
      DevicePtr dy,
      DevicePtr x,
      DevicePtr rstd,
      long rows,
      int heads,
      int n,
      long dyStride,
      long xStride,
      long rowsPerChunk) {}
}
