package dev.gatun.cuda.op;

import static dev.gatun.cuda.op.DeviceStorage.pointer;

import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.Kernel;
import dev.gatun.cuda.KernelSpec;
import dev.gatun.cuda.LaunchConfig;
import dev.gatun.op.GatedUpdates;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.List;
import java.util.stream.Stream;

/// Backward of a gated activation with the narrow products of the updates around it, one pass over
/// `gate`, `up` and `dh`. Sums have a fixed order: the same input gives the same bits.
final class GatedLora {
  private static final int STEP = 16; // there is a kernel for each multiple
  private static final int MOST_RANK = 32;
  private static final int FEWEST_ROWS = 256; // below, launches count more than bytes
  private static final int COLUMNS = 64; // of a tile
  private static final int FEWEST_STAGES = 2;
  private static final int MOST_STAGES = 3;
  private static final int TILES_BYTES = 49152;
  private static final int RANK_BYTES = 1024;
  private static final int EXCHANGE_BYTES = 1280;
  private static final int COLUMN_TILES = LoraGrid.TILE / COLUMNS;

  private static final List<KernelSpec<Parameters>> SPECS =
      Stream.iterate(STEP, rank -> rank <= MOST_RANK, rank -> rank + STEP)
          .map(rank ->
              new KernelSpec<>("glulora", "glu_backward_lora_bf16_r" + rank, Parameters.class))
          .toList();

  private final Launcher launcher;
  private final List<Kernel<Parameters>> kernels;
  private final LoraSum sum;

  GatedLora(Launcher launcher) {
    this.launcher = launcher;
    kernels = SPECS.stream().map(launcher::kernel).toList();
    sum = new LoraSum(launcher);
  }

  /// Whether the kernels take these operands.
  boolean suits(Tensor gate, Tensor up, Tensor dh, GatedUpdates updates) {
    long rank = updates.gate().lora().rank();
    return rank % 8 == 0
        && rank <= MOST_RANK
        && updates.up().lora().rank() == rank
        && updates.downA().rows() == rank
        && stages(rank) >= FEWEST_STAGES
        && gate.rows() >= FEWEST_ROWS
        && gate.cols() % COLUMNS == 0
        && Stream.of(gate, up, dh, updates.downInnerGradient(), updates.downA())
            .allMatch(Launcher::isVector)
        && suits(updates.gate())
        && suits(updates.up());
  }

  private static boolean suits(GatedUpdates.Side side) {
    return Stream.of(side.lora().b(), side.inner(), side.innerGradient(), side.b())
        .allMatch(Launcher::isVector);
  }

  /// Scratch of [#run].
  static long scratchBytes(long rows, long cols, long rank) {
    if (rows < FEWEST_ROWS || rank > MOST_RANK) {
      return 0;
    }
    LoraGrid grid = grid(rows, cols, rank);
    return TensorArena.sizeOf(DType.F32, 2 * rowPartials(grid, rows, rank))
        + TensorArena.sizeOf(DType.F32, 3 * columnPartials(grid, cols, rank));
  }

  private static LoraGrid grid(long rows, long cols, long rank) {
    return LoraGrid.of(LoraGrid.Kind.BOTH, rows, cols, rank);
  }

  private static long rowPartials(LoraGrid grid, long rows, long rank) {
    return grid.ranges() * rows * rank;
  }

  private static long columnPartials(LoraGrid grid, long cols, long rank) {
    return grid.chunks() * cols * rank;
  }

  /// @param activation as `mlp.cu` numbers them
  void run(
      Tensor gate,
      Tensor up,
      Tensor dh,
      int activation,
      GatedUpdates updates,
      TensorArena scratch) {
    long rows = gate.rows();
    long cols = gate.cols();
    long rank = updates.downA().rows();
    LoraGrid grid = grid(rows, cols, rank);
    long mark = scratch.mark();
    long rowSize = rowPartials(grid, rows, rank);
    long columnSize = columnPartials(grid, cols, rank);
    Tensor rowPartials = scratch.allocate(DType.F32, Shape.of(2, rowSize));
    Tensor columnPartials = scratch.allocate(DType.F32, Shape.of(3, columnSize));
    int stages = Math.min(MOST_STAGES, stages(rank));
    launcher.launch(
        kernels.get(kernelRank(rank) / STEP - 1),
        LaunchConfig.of(1, 512)
            .withGrid(grid.ranges(), grid.chunks(), 1)
            .withShared(stages * stageBytes(rank) + exchangeBytes(rank)),
        new Parameters(
            pointer(gate, DType.BF16, "gate"),
            gate.rowStride(),
            pointer(updates.gate().lora().b(), DType.BF16, "B of gate"),
            updates.gate().lora().b().rowStride(),
            pointer(updates.gate().inner(), DType.BF16, "inner of gate"),
            updates.gate().inner().rowStride(),
            pointer(rowPartials.rows(0, 1)),
            pointer(columnPartials.rows(0, 1)),
            pointer(up, DType.BF16, "up"),
            up.rowStride(),
            pointer(updates.up().lora().b(), DType.BF16, "B of up"),
            updates.up().lora().b().rowStride(),
            pointer(updates.up().inner(), DType.BF16, "inner of up"),
            updates.up().inner().rowStride(),
            pointer(rowPartials.rows(1, 1)),
            pointer(columnPartials.rows(1, 1)),
            pointer(dh, DType.BF16, "dh"),
            dh.rowStride(),
            pointer(updates.downInnerGradient(), DType.BF16, "inner gradient of down"),
            updates.downInnerGradient().rowStride(),
            pointer(columnPartials.rows(2, 1)),
            rows,
            cols,
            Math.toIntExact(rank),
            activation,
            grid.rowTiles(),
            grid.columnTiles() * COLUMN_TILES,
            stages));
    side(updates.gate(), rowPartials.rows(0, 1), columnPartials.rows(0, 1), grid);
    side(updates.up(), rowPartials.rows(1, 1), columnPartials.rows(1, 1), grid);
    sum.run(
        new LoraSum.Parts(null, null, 0),
        new LoraSum.Parts(updates.downA(), columnPartials.rows(2, 1), grid.chunks()),
        1,
        null);
    scratch.release(mark);
  }

  private void side(
      GatedUpdates.Side side, Tensor rowPartials, Tensor columnPartials, LoraGrid grid) {
    sum.run(
        new LoraSum.Parts(side.innerGradient(), rowPartials, grid.ranges()),
        new LoraSum.Parts(side.b(), columnPartials, grid.chunks()),
        side.lora().scale(),
        null);
  }

  private static int stageBytes(long rank) {
    return TILES_BYTES + RANK_BYTES * kernelRank(rank);
  }

  private static int exchangeBytes(long rank) {
    return EXCHANGE_BYTES * kernelRank(rank);
  }

  private static int kernelRank(long rank) {
    return Math.toIntExact((rank + STEP - 1) / STEP * STEP);
  }

  /// Stages that the GPU's shared memory holds.
  private int stages(long rank) {
    int shared = launcher.context().device().limits().sharedPerBlock();
    return (shared - exchangeBytes(rank)) / stageBytes(rank);
  }

  record Parameters(
      DevicePtr gate,
      long gateStride,
      DevicePtr gateFactor,
      long gateFactorStride,
      DevicePtr gateInner,
      long gateInnerStride,
      DevicePtr gateRowPartial,
      DevicePtr gateColumnPartial,
      DevicePtr up,
      long upStride,
      DevicePtr upFactor,
      long upFactorStride,
      DevicePtr upInner,
      long upInnerStride,
      DevicePtr upRowPartial,
      DevicePtr upColumnPartial,
      DevicePtr dh,
      long dhStride,
      DevicePtr down,
      long downStride,
      DevicePtr aPartial,
      long rows,
      long wide,
      int rank,
      int activation,
      int rowTiles,
      int columnTiles,
      int stages) {}
}
