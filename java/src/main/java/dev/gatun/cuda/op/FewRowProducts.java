package dev.gatun.cuda.op;

import static dev.gatun.cuda.op.DeviceStorage.pointer;
import static dev.gatun.cuda.op.DeviceStorage.pointerOrNull;

import dev.gatun.cuda.Device;
import dev.gatun.cuda.DeviceBuffer;
import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.Kernel;
import dev.gatun.cuda.KernelSpec;
import dev.gatun.cuda.LaunchConfig;
import dev.gatun.cuda.op.Products.Extras;
import dev.gatun.cuda.op.Products.Form;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// Products of few rows with a 4-bit weight by `fewrows.cu`: one launch that reads the packed
/// weight once and adds bias, residual and low-rank update where it stores.
final class FewRowProducts implements AutoCloseable {
  /// Above, decoding the weight once for a product of the library costs less than decoding it for
  /// every 16 rows.
  static final int MOST_ROWS = 64;

  private static final KernelSpec<Parameters> ROWS8 =
      new KernelSpec<>("fewrows", "nf4_few_rows_8_bf16", Parameters.class);
  private static final KernelSpec<Parameters> ROWS16 =
      new KernelSpec<>("fewrows", "nf4_few_rows_16_bf16", Parameters.class);

  // As in the kernel file.
  private static final int TILE = 16;
  private static final int WARP_COLUMNS = 256;
  private static final int MOST_WARPS = 16;
  private static final int TABLE_BYTES = 33792;
  private static final int RING_BYTES = 6144;
  private static final int SUM_BYTES = 1280; // for each 8 rows
  private static final int RESERVED_BYTES = 1152; // the system's and the kernel's own
  private static final int MOST_ARRIVALS = 4096;

  private final Launcher launcher;
  private final Products products;
  private final Device device;
  private final DeviceBuffer arrivals;
  private final Kernel<Parameters> rows8;
  private final Kernel<Parameters> rows16;

  FewRowProducts(Launcher launcher, Products products) {
    this.launcher = launcher;
    this.products = products;
    device = launcher.context().device();
    rows8 = launcher.kernel(ROWS8);
    rows16 = launcher.kernel(ROWS16);
    arrivals = launcher.context().allocate("few rows", MOST_ARRIVALS * 4L);
    launcher.stream().fill(arrivals, 0, arrivals.byteSize(), (byte) 0);
  }

  /// Whether the kernels take so many rows and store where they should go; the weight must be in
  /// blocks of 64 within rows and x in whole 16-byte pieces.
  static boolean suits(Tensor y, Tensor x) {
    return x.rows() <= MOST_ROWS && y.dtype() == DType.BF16;
  }

  /// How a product is spread over the device.
  ///
  /// @param groups of rows of x, each its own pass over the weight
  /// @param blocks that share the tiles of 16 rows of the weight
  /// @param ranges of columns, summed by the last block to finish
  record Grid(int groups, int blocks, int ranges, int warps, int sharedBytes) {
    static Grid of(Device device, long rows, long out, long in) {
      int wide = rows <= 8 ? 1 : 2;
      int groups = Math.toIntExact(Math.ceilDiv(rows, 8L * wide));
      int warpBytes = RING_BYTES + wide * SUM_BYTES;
      int ranges = ranges(device, wide, in);
      int slices = slices(in);
      int warps = Math.ceilDiv(slices, ranges);
      int sharedBytes = TABLE_BYTES + warps * warpBytes;
      int resident =
          Math.min(
              MOST_WARPS / warps,
              device.limits().sharedPerMultiprocessor() / (sharedBytes + RESERVED_BYTES));
      int most = Math.max(1, resident) * device.multiprocessors() / (ranges * groups);
      int tiles = Math.toIntExact(Math.ceilDiv(out, (long) TILE));
      int each = Math.ceilDiv(tiles, Math.clamp(most, 1, MOST_ARRIVALS / groups));
      return new Grid(groups, Math.ceilDiv(tiles, each), ranges, warps, sharedBytes);
    }

    private static int slices(long in) {
      return Math.toIntExact(Math.ceilDiv(in, (long) WARP_COLUMNS));
    }

    private static int ranges(Device device, int wide, long in) {
      int room = device.limits().sharedPerBlock() - TABLE_BYTES - RESERVED_BYTES;
      int warps = Math.clamp(room / (RING_BYTES + wide * SUM_BYTES), 1, MOST_WARPS);
      return Math.ceilDiv(slices(in), warps);
    }
  }

  /// Scratch that [#multiply] needs at most for so many rows or fewer.
  long scratchBytes(long rows, long out, long in) {
    int ranges = Grid.ranges(device, 2, in);
    long most = Math.min(rows, MOST_ROWS);
    return ranges == 1 ? 0 : TensorArena.sizeOf(DType.F32, ranges * most * out);
  }

  /// `y = x·dq(W)ᵀ + extras`.
  void multiply(Tensor y, Tensor x, Weight.Nf4 weight, Extras extras, TensorArena scratch) {
    long rows = x.rows();
    Grid grid = Grid.of(device, rows, weight.out(), weight.in());
    long mark = scratch.mark();
    Tensor partial =
        grid.ranges() == 1
            ? null
            : scratch.allocate(DType.F32, Shape.of(grid.ranges() * rows, weight.out()));
    boolean fused = fuses(extras);
    launcher.launch(
        rows <= 8 ? rows8 : rows16,
        LaunchConfig.of(1, 32 * grid.warps())
            .withGrid(grid.blocks(), grid.ranges(), grid.groups())
            .withShared(grid.sharedBytes()),
        parameters(y, x, weight, extras, fused, partial));
    scratch.release(mark);
    if (!fused && extras.inner() != null && extras.factor() != null) {
      products.multiply(Form.NT, y, extras.inner(), extras.factor(), extras.scale(), true, scratch);
    }
  }

  // Whether the kernel adds the update itself.
  private static boolean fuses(Extras extras) {
    return extras.inner() != null
        && extras.factor() != null
        && extras.inner().cols() % 8 == 0
        && Launcher.isVector(extras.inner())
        && Launcher.isVector(extras.factor());
  }

  private Parameters parameters(
      Tensor y,
      Tensor x,
      Weight.Nf4 weight,
      Extras extras,
      boolean fused,
      @Nullable Tensor partial) {
    CudaQuantOps.Source scales = CudaQuantOps.Source.of(weight.absmax());
    Tensor inner = fused ? extras.inner() : null;
    Tensor factor = fused ? extras.factor() : null;
    Tensor bias = extras.bias();
    Tensor residual = extras.residual();
    return new Parameters(
        pointer(y, DType.BF16, "y"),
        y.rowStride(),
        pointer(x, DType.BF16, "x"),
        x.rowStride(),
        pointer(weight.packed()),
        scales.plain(),
        scales.codes(),
        scales.absmax(),
        scales.map(),
        scales.offset(),
        x.rows(),
        weight.out(),
        weight.in(),
        pointerOrNull(inner),
        inner == null ? 0 : inner.rowStride(),
        pointerOrNull(factor),
        factor == null ? 0 : factor.rowStride(),
        inner == null ? 0 : Math.toIntExact(inner.cols()),
        extras.scale(),
        pointerOrNull(bias),
        bias == null ? 0 : Launcher.typeCode(bias.dtype()),
        pointerOrNull(residual),
        residual == null ? 0 : residual.rowStride(),
        pointerOrNull(partial),
        arrivals.pointer());
  }

  @Override
  public void close() {
    arrivals.close();
  }

  record Parameters(
      DevicePtr y,
      long yStride,
      DevicePtr x,
      long xStride,
      DevicePtr packed,
      DevicePtr plain,
      DevicePtr codes,
      DevicePtr absmax,
      DevicePtr map,
      float offset,
      long rows,
      long out,
      long in,
      DevicePtr inner,
      long innerStride,
      DevicePtr factor,
      long factorStride,
      int r,
      float loraScale,
      DevicePtr bias,
      int biasType,
      DevicePtr residual,
      long residualStride,
      DevicePtr partial,
      DevicePtr arrivals) {}
}
