package dev.gatun.cuda.op;

import static dev.gatun.cuda.op.DeviceStorage.pointer;
import static dev.gatun.cuda.op.DeviceStorage.pointerOrNull;

import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.Kernel;
import dev.gatun.cuda.KernelSpec;
import dev.gatun.cuda.LaunchConfig;
import dev.gatun.op.Normalized;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// The narrow products of low-rank updates, at the speed at which the wide operand can be read.
///
/// Activations and factors BF16, gradients F32; rows may be strided. Operands must [#suits]; for
/// others there is [Products]. Sums have a fixed order: the same input gives the same bits.
final class LoraProducts {
  private static final String MODULE = "lora";
  private static final List<KernelSpec<Parameters>> INNER_SPECS = specs("inner");
  private static final List<KernelSpec<Parameters>> INNER_BACKWARD_SPECS = specs("inner_backward");
  private static final List<KernelSpec<Parameters>> GRADIENT_SPECS = specs("gradient");
  private static final List<KernelSpec<Parameters>> BACKWARD_SPECS = specs("backward");
  private static final KernelSpec<ScaleRows> SCALE_ROWS =
      new KernelSpec<>(MODULE, "lora_scale_rows_bf16", ScaleRows.class);

  private static final int RANK_STEP = 16; // there is a kernel for each multiple
  static final int MOST_RANK = 64;
  private static final int FEWEST_ROWS = 256; // below, launches count more than bytes
  private static final int WIDE_STEP = 64;
  private static final int TILE_BYTES = LoraGrid.TILE * LoraGrid.TILE * 2;
  private static final int FEWEST_STAGES = 2;
  private static final int MOST_STAGES = 6;

  private final Launcher launcher;
  private final List<Kernel<Parameters>> inner;
  private final List<Kernel<Parameters>> innerBackward;
  private final List<Kernel<Parameters>> gradient;
  private final List<Kernel<Parameters>> backward;
  private final LoraSum sum;
  private final Kernel<ScaleRows> scaleRows;

  LoraProducts(Launcher launcher) {
    this.launcher = launcher;
    inner = INNER_SPECS.stream().map(launcher::kernel).toList();
    innerBackward = INNER_BACKWARD_SPECS.stream().map(launcher::kernel).toList();
    gradient = GRADIENT_SPECS.stream().map(launcher::kernel).toList();
    backward = BACKWARD_SPECS.stream().map(launcher::kernel).toList();
    sum = new LoraSum(launcher);
    scaleRows = launcher.kernel(SCALE_ROWS);
  }

  private static List<KernelSpec<Parameters>> specs(String op) {
    return Stream.iterate(RANK_STEP, rank -> rank <= MOST_RANK, rank -> rank + RANK_STEP)
        .map(rank ->
            new KernelSpec<>(MODULE, "lora_%s_bf16_r%d".formatted(op, rank), Parameters.class))
        .toList();
  }

  /// Whether the kernels take these operands.
  ///
  /// @param operands the wide one first, `x` or `dy`; then the others that are there
  static boolean suits(long rank, Tensor... operands) {
    Tensor wide = operands[0];
    return rank > 0
        && rank % 8 == 0
        && rank <= MOST_RANK
        && wide.dtype() == DType.BF16
        && wide.rows() >= FEWEST_ROWS
        && wide.cols() % WIDE_STEP == 0
        && Stream.of(operands).allMatch(Launcher::isVector);
  }

  /// The most scratch that any of the products takes.
  ///
  /// @param wide columns of `x` or `dy`
  static long scratchBytes(long rows, long wide, long rank) {
    long most = 0;
    for (LoraGrid.Kind kind : LoraGrid.Kind.values()) {
      most = rows == 0 ? 0 : Math.max(most, LoraGrid.scratchBytes(kind, rows, wide, rank));
    }
    return most;
  }

  /// `inner = x·Aᵀ`.
  ///
  /// @param inner `[T, R]`; R may be that of several updates whose A are stacked
  /// @param x `[T, in]`
  /// @param a `[R, in]`
  void inner(Tensor inner, Tensor x, Tensor a, TensorArena scratch) {
    run(
        this.inner,
        new Work(LoraGrid.Kind.ROW, x, a.rows(), a, null, inner, null, false, 1, null),
        scratch);
  }

  /// `dInner = scale·dy·B` and `dB += scale·dyᵀ·inner` in one pass over `dy`.
  ///
  /// @param dInner `[T, R]`, or null if it is not wanted
  /// @param dB F32 `[out, R]`, or null if it is not wanted
  /// @param dy `[T, out]`
  /// @param b `[out, R]`
  /// @param inner `[T, R]` as forward computed it; null only without `dB`
  void backwardB(
      @Nullable Tensor dInner,
      @Nullable Tensor dB,
      Tensor dy,
      Tensor b,
      @Nullable Tensor inner,
      float scale,
      TensorArena scratch) {
    if (dB != null && inner == null) {
      throw new IllegalArgumentException("the gradient of B needs what forward saved");
    }
    long rank = b.cols();
    if (dInner != null && dB != null && stages(LoraGrid.Kind.BOTH, rank) >= FEWEST_STAGES) {
      run(
          backward,
          new Work(LoraGrid.Kind.BOTH, dy, rank, b, inner, dInner, dB, false, scale, null),
          scratch);
      return;
    }
    // One alone, or too little shared memory for a tile with both factors: GPUs with 99 KiB a
    // block.
    if (dInner != null) {
      run(
          innerBackward,
          new Work(LoraGrid.Kind.ROW, dy, rank, b, null, dInner, null, false, scale, null),
          scratch);
    }
    if (dB != null) {
      run(
          gradient,
          new Work(LoraGrid.Kind.COLUMN, dy, rank, null, inner, null, dB, false, scale, null),
          scratch);
    }
  }

  /// `dA += dInnerᵀ·x`.
  ///
  /// @param dA F32 `[R, in]`; R may be that of several updates whose A are stacked
  /// @param dInner `[T, R]`
  /// @param x `[T, in]`
  void gradientA(Tensor dA, Tensor dInner, Tensor x, TensorArena scratch) {
    run(
        gradient,
        new Work(LoraGrid.Kind.COLUMN, x, dA.rows(), null, dInner, null, dA, true, 1, null),
        scratch);
  }

  /// The same of `x·rstd·(offset + weight)`, as `((rstd·dInner)ᵀ·x)·(offset + weight)`.
  void gradientA(Tensor dA, Tensor dInner, Normalized x, TensorArena scratch) {
    long mark = scratch.mark();
    Tensor scaled = scratch.allocate(DType.BF16, Shape.of(dInner.rows(), dInner.cols()));
    launcher.launch(
        scaleRows,
        launcher.gridStride(dInner.count() / 8),
        new ScaleRows(
            pointer(scaled),
            pointer(dInner, DType.BF16, "the inner gradient"),
            dInner.rowStride(),
            pointer(x.rstd(), DType.F32, "rstd"),
            dInner.rows(),
            dInner.cols()));
    run(
        gradient,
        new Work(LoraGrid.Kind.COLUMN, x.x(), dA.rows(), null, scaled, null, dA, true, 1, x),
        scratch);
    scratch.release(mark);
  }

  /// What a launch computes from the wide operand.
  ///
  /// @param factor of the row product
  /// @param narrow `[T, R]`, of the column product
  /// @param rowProduct BF16 `[T, R]`
  /// @param columnProduct F32 `[W, R]`, or `[R, W]` if `transposed`
  /// @param normalized whose weight the columns of the transposed column product are multiplied by
  private record Work(
      LoraGrid.Kind kind,
      Tensor wide,
      long rank,
      @Nullable Tensor factor,
      @Nullable Tensor narrow,
      @Nullable Tensor rowProduct,
      @Nullable Tensor columnProduct,
      boolean transposed,
      float scale,
      @Nullable Normalized normalized) {
    long rows() {
      return wide.rows();
    }

    long cols() {
      return wide.cols();
    }
  }

  private void run(List<Kernel<Parameters>> kernels, Work work, TensorArena scratch) {
    if (work.rows() == 0) {
      return;
    }
    long mark = scratch.mark();
    LoraGrid grid = LoraGrid.of(work.kind(), work.rows(), work.cols(), work.rank());
    long rowPartials = grid.rowPartials(work.kind(), work.rows(), work.rank());
    long columnPartials = grid.columnPartials(work.kind(), work.cols(), work.rank());
    Tensor rowPartial = partial(rowPartials, scratch);
    Tensor columnPartial = partial(columnPartials, scratch);
    int stages = Math.min(MOST_STAGES, stages(work.kind(), work.rank()));
    launcher.launch(
        kernels.get(kernelRank(work.rank()) / RANK_STEP - 1),
        LaunchConfig.of(1, 256)
            .withGrid(grid.ranges(), grid.chunks(), 1)
            .withShared(stages * stageBytes(work.kind(), work.rank())),
        parameters(work, grid, rowPartial, columnPartial, stages));
    if (rowPartial != null || columnPartial != null) {
      sum(work, grid, rowPartial, columnPartial);
    }
    scratch.release(mark);
  }

  private static @Nullable Tensor partial(long elements, TensorArena scratch) {
    return elements == 0 ? null : scratch.allocate(DType.F32, Shape.of(elements));
  }

  private static Parameters parameters(
      Work work,
      LoraGrid grid,
      @Nullable Tensor rowPartial,
      @Nullable Tensor columnPartial,
      int stages) {
    Tensor wide = work.wide();
    Tensor direct = rowPartial == null ? work.rowProduct() : null;
    return new Parameters(
        pointer(wide, DType.BF16, "the wide operand"),
        wide.rowStride(),
        work.rows(),
        work.cols(),
        Math.toIntExact(work.rank()),
        bf16(work.factor(), "the factor"),
        stride(work.factor()),
        bf16(work.narrow(), "the narrow operand"),
        stride(work.narrow()),
        bf16(direct, "the narrow result"),
        stride(direct),
        work.scale(),
        pointerOrNull(rowPartial),
        pointerOrNull(columnPartial),
        work.transposed() ? 1 : 0,
        grid.rowTiles(),
        grid.columnTiles(),
        stages);
  }

  private void sum(
      Work work, LoraGrid grid, @Nullable Tensor rowPartial, @Nullable Tensor columnPartial) {
    sum.run(
        new LoraSum.Parts(rowPartial == null ? null : work.rowProduct(), rowPartial, grid.ranges()),
        new LoraSum.Parts(work.columnProduct(), columnPartial, grid.chunks()),
        work.scale(),
        work.normalized());
  }

  private static DevicePtr bf16(@Nullable Tensor tensor, String what) {
    return tensor == null ? DevicePtr.NULL : pointer(tensor, DType.BF16, what);
  }

  private static long stride(@Nullable Tensor tensor) {
    return tensor == null ? 0 : tensor.rowStride();
  }

  private static int kernelRank(long rank) {
    return Math.toIntExact(Math.ceilDiv(rank, (long) RANK_STEP)) * RANK_STEP;
  }

  /// A tile of the wide operand, and its part of each product's other operand.
  private static int stageBytes(LoraGrid.Kind kind, long rank) {
    int products = kind == LoraGrid.Kind.BOTH ? 2 : 1;
    return TILE_BYTES + products * LoraGrid.TILE * 2 * kernelRank(rank);
  }

  /// Stages that the GPU's shared memory holds.
  private int stages(LoraGrid.Kind kind, long rank) {
    return launcher.context().device().limits().sharedPerBlock() / stageBytes(kind, rank);
  }

  record Parameters(
      DevicePtr x,
      long xStride,
      long rows,
      long wide,
      int rank,
      DevicePtr factor,
      long factorStride,
      DevicePtr narrow,
      long narrowStride,
      DevicePtr out,
      long outStride,
      float scale,
      DevicePtr rowPartial,
      DevicePtr columnPartial,
      int transposed,
      int rowTiles,
      int columnTiles,
      int stages) {}

  record ScaleRows(
      DevicePtr out, DevicePtr x, long xStride, DevicePtr factor, long rows, long cols) {}
}
