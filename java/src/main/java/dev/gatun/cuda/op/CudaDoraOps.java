package dev.gatun.cuda.op;

import static dev.gatun.cuda.op.DeviceStorage.pointer;
import static dev.gatun.cuda.op.DeviceStorage.pointerOrNull;

import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.Kernel;
import dev.gatun.cuda.KernelSpec;
import dev.gatun.cuda.LaunchConfig;
import dev.gatun.op.DoraOps;
import dev.gatun.op.Projection;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// Launches `dora.cu`. A 4-bit weight is decoded into scratch for its norms, rounded to BF16 as its
/// products see it.
final class CudaDoraOps implements DoraOps {
  private static final KernelSpec<InverseNorm> INVERSE_NORM =
      new KernelSpec<>("dora", "dora_inverse_norm_bf16", InverseNorm.class);
  private static final KernelSpec<Scale> SCALE =
      new KernelSpec<>("dora", "dora_scale_bf16", Scale.class);
  private static final KernelSpec<Partial> MAGNITUDE_PARTIAL =
      new KernelSpec<>("dora", "dora_magnitude_partial_bf16", Partial.class);

  private static final int ROWS_PER_BLOCK = 8;

  private final Launcher launcher;
  private final CudaMatmulOps matmul;
  private final ColumnSum columnSum;
  private final Kernel<InverseNorm> inverseNorm;
  private final Kernel<Scale> scale;
  private final Kernel<Partial> partial;

  CudaDoraOps(Launcher launcher, CudaMatmulOps matmul) {
    this.launcher = launcher;
    this.matmul = matmul;
    columnSum = new ColumnSum(launcher);
    inverseNorm = launcher.kernel(INVERSE_NORM);
    scale = launcher.kernel(SCALE);
    partial = launcher.kernel(MAGNITUDE_PARTIAL);
  }

  @Override
  public void inverseNorms(
      Tensor inverse, Weight weight, Projection.Lora lora, TensorArena scratch) {
    long mark = scratch.mark();
    Tensor dense = matmul.dense(weight, scratch);
    launcher.launch(
        inverseNorm,
        LaunchConfig.cover(weight.out(), ROWS_PER_BLOCK, 256),
        new InverseNorm(
            pointer(inverse, DType.F32, "inverse"),
            pointer(dense),
            dense.rowStride(),
            pointer(lora.a(), DType.BF16, "A"),
            lora.a().rowStride(),
            pointer(lora.b(), DType.BF16, "B"),
            lora.b().rowStride(),
            weight.out(),
            weight.in(),
            lora.rank(),
            lora.scale()));
    scratch.release(mark);
  }

  @Override
  public void scale(
      Tensor y,
      @Nullable Tensor residual,
      @Nullable Tensor bias,
      Tensor z,
      Tensor magnitude,
      Tensor inverse) {
    if (z.count() == 0) {
      return;
    }
    launcher.launch(
        scale,
        launcher.gridStride(z.count()),
        new Scale(
            pointer(y, DType.BF16, "y"),
            y.rowStride(),
            pointerOrNull(residual),
            residual == null ? 0 : residual.rowStride(),
            pointerOrNull(bias),
            bias == null ? 0 : Launcher.typeCode(bias.dtype()),
            pointer(z, DType.BF16, "z"),
            z.rowStride(),
            pointer(magnitude, DType.F32, "magnitude"),
            pointer(inverse, DType.F32, "inverse"),
            z.rows(),
            z.cols()));
  }

  @Override
  public void magnitudeGradient(
      Tensor dmagnitude, Tensor dy, Tensor z, Tensor inverse, TensorArena scratch) {
    columnSum.add(
        dmagnitude,
        dy.rows(),
        scratch,
        (sums, config, rowsPerChunk) ->
            launcher.launch(
                partial,
                config,
                new Partial(
                    pointer(sums),
                    pointer(dy, DType.BF16, "dy"),
                    dy.rowStride(),
                    pointer(z, DType.BF16, "z"),
                    z.rowStride(),
                    pointer(inverse, DType.F32, "inverse"),
                    dy.rows(),
                    Math.toIntExact(dmagnitude.count()),
                    rowsPerChunk)));
  }

  @Override
  public long scratchBytes(Weight weight) {
    return CudaMatmulOps.denseBytes(weight);
  }

  @Override
  public long gradientScratchBytes(long out) {
    return ColumnSum.scratchBytes(out);
  }

  record InverseNorm(
      DevicePtr inverse,
      DevicePtr weight,
      long weightStride,
      DevicePtr a,
      long aStride,
      DevicePtr b,
      long bStride,
      long rows,
      long cols,
      int rank,
      float scale) {}

  record Scale(
      DevicePtr y,
      long yStride,
      DevicePtr residual,
      long residualStride,
      DevicePtr bias,
      int biasType,
      DevicePtr z,
      long zStride,
      DevicePtr magnitude,
      DevicePtr inverse,
      long rows,
      long cols) {}

  record Partial(
      DevicePtr partial,
      DevicePtr dy,
      long dyStride,
      DevicePtr z,
      long zStride,
      DevicePtr inverse,
      long rows,
      int n,
      long rowsPerChunk) {}
}
