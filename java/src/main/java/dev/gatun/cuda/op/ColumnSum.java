package dev.gatun.cuda.op;

import static dev.gatun.cuda.op.DeviceStorage.pointer;

import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.Kernel;
import dev.gatun.cuda.KernelSpec;
import dev.gatun.cuda.LaunchConfig;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;

/// Sums over rows in two deterministic passes: chunks of rows, then the chunks in order.
final class ColumnSum {
  private static final KernelSpec<Partial> PARTIAL_KERNEL =
      new KernelSpec<>("norm", "column_partial_bf16", Partial.class);
  private static final KernelSpec<Sum> SUM_KERNEL =
      new KernelSpec<>("norm", "column_sum_f32", Sum.class);

  /// Chunks of rows at most.
  static final int CHUNKS = 64;

  private final Launcher launcher;
  private final Kernel<Partial> partialKernel;
  private final Kernel<Sum> sumKernel;

  ColumnSum(Launcher launcher) {
    this.launcher = launcher;
    partialKernel = launcher.kernel(PARTIAL_KERNEL);
    sumKernel = launcher.kernel(SUM_KERNEL);
  }

  /// `out += Σ_chunk partial[chunk]`; both F32.
  void add(Tensor out, Tensor partial, int chunks) {
    int n = Math.toIntExact(out.count());
    launcher.launch(
        sumKernel,
        LaunchConfig.cover(n, 128, 128),
        new Sum(pointer(out, DType.F32, "column sum"), pointer(partial), chunks, n));
  }

  /// `dbias += Σ_t dy[t]`.
  void addRows(Tensor dbias, Tensor dy, TensorArena scratch) {
    int n = Math.toIntExact(dbias.count());
    add(
        dbias,
        dy.rows(),
        scratch,
        (partial, config, rowsPerChunk) ->
            launcher.launch(
                partialKernel,
                config,
                new Partial(
                    pointer(partial),
                    pointer(dy, DType.BF16, "dy"),
                    dy.rows(),
                    n,
                    dy.rowStride(),
                    rowsPerChunk)));
  }

  /// `out += Σ_row f(row)` of a kernel that sums chunks of rows, 128 columns a block.
  void add(Tensor out, long rows, TensorArena scratch, ChunkSums sums) {
    int n = Math.toIntExact(out.count());
    int chunks = (int) Math.min(CHUNKS, rows);
    if (chunks == 0) {
      return;
    }
    long mark = scratch.mark();
    Tensor partial = scratch.allocate(DType.F32, Shape.of(chunks, n));
    LaunchConfig config = LaunchConfig.of(1, 128).withGrid(Math.ceilDiv(n, 128), chunks, 1);
    sums.launch(partial, config, Math.ceilDiv(rows, (long) chunks));
    add(out, partial, chunks);
    scratch.release(mark);
  }

  /// Launches a kernel that writes F32 `partial[chunk, column]`.
  interface ChunkSums {
    void launch(Tensor partial, LaunchConfig config, long rowsPerChunk);
  }

  static long scratchBytes(long n) {
    return TensorArena.sizeOf(DType.F32, CHUNKS * n);
  }

  record Partial(
      DevicePtr partial, DevicePtr dy, long rows, int n, long dyStride, long rowsPerChunk) {}

  record Sum(DevicePtr out, DevicePtr partial, int chunks, int n) {}
}
