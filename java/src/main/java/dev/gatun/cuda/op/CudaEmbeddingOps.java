package dev.gatun.cuda.op;

import static dev.gatun.cuda.op.DeviceStorage.pointer;

import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.Kernel;
import dev.gatun.cuda.KernelSpec;
import dev.gatun.cuda.LaunchConfig;
import dev.gatun.op.EmbeddingOps;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;

/// Launches `embedding.cu`: token embedding, and moving rows around the loss.
final class CudaEmbeddingOps implements EmbeddingOps {
  private static final KernelSpec<Gather> GATHER =
      new KernelSpec<>("embedding", "embedding_gather_bf16", Gather.class);
  private static final KernelSpec<Scatter> SCATTER =
      new KernelSpec<>("embedding", "embedding_scatter_add_bf16", Scatter.class);
  private static final KernelSpec<MoveRows> GATHER_ROWS =
      new KernelSpec<>("embedding", "rows_gather_bf16", MoveRows.class);
  private static final KernelSpec<MoveRows> SCATTER_ROWS =
      new KernelSpec<>("embedding", "rows_scatter_bf16", MoveRows.class);

  private final Launcher launcher;
  private final Kernel<Gather> gather;
  private final Kernel<Scatter> scatter;
  private final Kernel<MoveRows> gatherRows;
  private final Kernel<MoveRows> scatterRows;

  CudaEmbeddingOps(Launcher launcher) {
    this.launcher = launcher;
    gather = launcher.kernel(GATHER);
    scatter = launcher.kernel(SCATTER);
    gatherRows = launcher.kernel(GATHER_ROWS);
    scatterRows = launcher.kernel(SCATTER_ROWS);
  }

  @Override
  public void gather(Tensor y, Tensor table, Tensor ids, float scale) {
    gather(y, table, table.cols(), 1, ids, scale, Launcher.vector(y.cols(), y, table));
  }

  @Override
  public void gatherColumns(Tensor y, Tensor table, Tensor ids, float scale) {
    gather(y, table, 1, table.cols(), ids, scale, 0);
  }

  private void gather(
      Tensor y,
      Tensor table,
      long idStride,
      long elementStride,
      Tensor ids,
      float scale,
      int vector) {
    requireContiguous(table);
    if (ids.count() == 0) {
      return;
    }
    launcher.launch(
        gather,
        LaunchConfig.cover(ids.count(), 1, 128),
        new Gather(
            pointer(y, DType.BF16, "y"),
            pointer(table),
            Launcher.typeCode(table.dtype()),
            pointer(ids, DType.I32, "ids"),
            Math.toIntExact(y.cols()),
            y.rowStride(),
            idStride,
            elementStride,
            scale,
            vector));
  }

  @Override
  public void scatterAdd(Tensor dtable, Tensor dy, Tensor ids, float scale, TensorArena scratch) {
    scatterAdd(dtable, dtable.cols(), 1, dy, ids, scale);
  }

  @Override
  public void scatterAddColumns(
      Tensor dtable, Tensor dy, Tensor ids, float scale, TensorArena scratch) {
    scatterAdd(dtable, 1, dtable.cols(), dy, ids, scale);
  }

  private void scatterAdd(
      Tensor dtable, long idStride, long elementStride, Tensor dy, Tensor ids, float scale) {
    requireContiguous(dtable);
    if (ids.count() == 0) {
      return;
    }
    launcher.launch(
        scatter,
        LaunchConfig.cover(ids.count(), 1, 256),
        new Scatter(
            pointer(dtable, DType.F32, "dtable"),
            pointer(dy, DType.BF16, "dy"),
            pointer(ids, DType.I32, "ids"),
            Math.toIntExact(ids.count()),
            Math.toIntExact(dy.cols()),
            dy.rowStride(),
            idStride,
            elementStride,
            scale));
  }

  private static void requireContiguous(Tensor table) {
    if (!table.isContiguous()) {
      throw new IllegalArgumentException("a table with gaps: " + table.shape());
    }
  }

  @Override
  public long scratchBytes(long tokens, long hidden, long vocabulary) {
    return 0;
  }

  /// `out[i] = x[rows[i]]`; `out` contiguous.
  void gatherRows(Tensor out, Tensor x, Tensor rows) {
    move(gatherRows, out, x, x.rowStride(), rows);
  }

  /// `x[rows[i]] = in[i]`; `in` contiguous.
  void scatterRows(Tensor x, Tensor in, Tensor rows) {
    move(scatterRows, x, in, x.rowStride(), rows);
  }

  private void move(
      Kernel<MoveRows> kernel, Tensor target, Tensor source, long stride, Tensor rows) {
    if (rows.count() == 0) {
      return;
    }
    launcher.launch(
        kernel,
        LaunchConfig.cover(rows.count(), 1, 128),
        new MoveRows(
            pointer(target, DType.BF16, "rows"),
            pointer(source, DType.BF16, "rows"),
            pointer(rows, DType.I32, "row numbers"),
            Math.toIntExact(source.cols()),
            stride,
            Launcher.vector(source.cols(), target, source)));
  }

  record Gather(
      DevicePtr y,
      DevicePtr table,
      int tableType,
      DevicePtr ids,
      int hidden,
      long yStride,
      long idStride,
      long elementStride,
      float scale,
      int vector) {}

  record Scatter(
      DevicePtr dtable,
      DevicePtr dy,
      DevicePtr ids,
      int tokens,
      int hidden,
      long dyStride,
      long idStride,
      long elementStride,
      float scale) {}

  record MoveRows(
      DevicePtr target, DevicePtr source, DevicePtr rows, int hidden, long stride, int vector) {}
}
