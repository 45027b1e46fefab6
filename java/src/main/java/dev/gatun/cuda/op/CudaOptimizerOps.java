package dev.gatun.cuda.op;

import static dev.gatun.cuda.op.DeviceStorage.pointer;
import static dev.gatun.cuda.op.DeviceStorage.pointerOrNull;

import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.Kernel;
import dev.gatun.cuda.KernelSpec;
import dev.gatun.cuda.LaunchConfig;
import dev.gatun.op.OptimizerOps;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Launches `optimizer.cu`; the other optimisers have launchers of their own.
final class CudaOptimizerOps implements OptimizerOps {
  private static final KernelSpec<AdamWParameters> ADAM_W =
      new KernelSpec<>("optimizer", "adamw_f32", AdamWParameters.class);
  private static final KernelSpec<SgdParameters> SGD =
      new KernelSpec<>("optimizer", "sgd_f32", SgdParameters.class);
  private static final KernelSpec<SquarePartial> SQUARE_PARTIAL =
      new KernelSpec<>("optimizer", "square_sum_partial_f32", SquarePartial.class);
  private static final KernelSpec<SquareFinish> SQUARE_FINISH =
      new KernelSpec<>("optimizer", "square_sum_finish_f32", SquareFinish.class);

  private static final int NORM_BLOCKS = 512; // fixed, so that the order of additions is

  private final Launcher launcher;
  private final Kernel<AdamWParameters> adamW;
  private final Kernel<SgdParameters> sgd;
  private final Kernel<SquarePartial> squarePartial;
  private final Kernel<SquareFinish> squareFinish;
  private final CudaMomentUpdates moments;
  private final CudaAdafactor adafactor;

  CudaOptimizerOps(Launcher launcher) {
    this.launcher = launcher;
    adamW = launcher.kernel(ADAM_W);
    sgd = launcher.kernel(SGD);
    squarePartial = launcher.kernel(SQUARE_PARTIAL);
    squareFinish = launcher.kernel(SQUARE_FINISH);
    moments = new CudaMomentUpdates(launcher);
    adafactor = new CudaAdafactor(launcher);
  }

  @Override
  public void globalNorm(Tensor norm, List<Tensor> gradients, TensorArena scratch) {
    long mark = scratch.mark();
    int count = NORM_BLOCKS * gradients.size();
    Tensor partial = scratch.allocate(DType.F64, Shape.of(Math.max(count, 1)));
    DevicePtr at = pointer(partial);
    for (Tensor gradient : gradients) {
      launcher.launch(
          squarePartial,
          LaunchConfig.of(NORM_BLOCKS, 256),
          new SquarePartial(at, pointer(gradient, DType.F32, "gradient"), gradient.count()));
      at = at.plus(NORM_BLOCKS * 8L);
    }
    launcher.launch(
        squareFinish,
        LaunchConfig.of(1, 256),
        new SquareFinish(pointer(norm, DType.F32, "norm"), pointer(partial), count));
    scratch.release(mark);
  }

  @Override
  public long scratchBytes(long count, int tensors) {
    return TensorArena.sizeOf(DType.F64, (long) NORM_BLOCKS * Math.max(tensors, 1));
  }

  @Override
  public void adamW(
      Tensor parameter,
      Tensor gradient,
      Tensor m,
      Tensor v,
      @Nullable Tensor computeCopy,
      @Nullable Clip clip,
      AdamW step) {
    double correction1 = 1 - Math.pow(step.beta1(), step.step());
    double correction2 = 1 - Math.pow(step.beta2(), step.step());
    launcher.launch(
        adamW,
        launcher.gridStride(Math.ceilDiv(parameter.count(), 4L)),
        new AdamWParameters(
            pointer(parameter, DType.F32, "parameter"),
            pointer(gradient, DType.F32, "gradient"),
            pointer(m, DType.F32, "m"),
            pointer(v, DType.F32, "v"),
            pointerOrNull(copyOf(computeCopy)),
            clip == null ? DevicePtr.NULL : pointer(clip.norm()),
            clip == null ? 0 : clip.maxNorm(),
            parameter.count(),
            (float) (1 - step.learningRate() * step.weightDecay()),
            (float) (1 - step.beta1()),
            (float) step.beta2(),
            (float) (1 - step.beta2()),
            (float) (step.learningRate() / correction1),
            (float) Math.sqrt(correction2),
            (float) step.epsilon()));
  }

  @Override
  public void sgd(
      Tensor parameter,
      Tensor gradient,
      @Nullable Tensor momentum,
      @Nullable Tensor computeCopy,
      @Nullable Clip clip,
      Sgd step) {
    launcher.launch(
        sgd,
        launcher.gridStride(parameter.count()),
        new SgdParameters(
            pointer(parameter, DType.F32, "parameter"),
            pointer(gradient, DType.F32, "gradient"),
            pointerOrNull(momentum),
            pointerOrNull(copyOf(computeCopy)),
            clip == null ? DevicePtr.NULL : pointer(clip.norm()),
            clip == null ? 0 : clip.maxNorm(),
            parameter.count(),
            (float) step.learningRate(),
            (float) step.momentum(),
            (float) step.weightDecay(),
            step.first() ? 1 : 0));
  }

  @Override
  public void adamW8bit(
      Tensor parameter,
      Tensor gradient,
      Blockwise m,
      Blockwise v,
      @Nullable Tensor computeCopy,
      @Nullable Clip clip,
      AdamW step) {
    moments.adamW8bit(
        new CudaMomentUpdates.Target(parameter, gradient, computeCopy, clip), m, v, step);
  }

  @Override
  public void lion(
      Tensor parameter,
      Tensor gradient,
      Tensor m,
      @Nullable Tensor computeCopy,
      @Nullable Clip clip,
      Lion step) {
    moments.lion(new CudaMomentUpdates.Target(parameter, gradient, computeCopy, clip), m, step);
  }

  @Override
  public void lion8bit(
      Tensor parameter,
      Tensor gradient,
      Blockwise m,
      @Nullable Tensor computeCopy,
      @Nullable Clip clip,
      Lion step) {
    moments.lion8bit(new CudaMomentUpdates.Target(parameter, gradient, computeCopy, clip), m, step);
  }

  @Override
  public void adafactor(
      Tensor parameter,
      Tensor gradient,
      SecondMoment state,
      @Nullable Tensor computeCopy,
      @Nullable Clip clip,
      Adafactor step,
      TensorArena scratch) {
    adafactor.run(
        new CudaMomentUpdates.Target(parameter, gradient, computeCopy, clip), state, step, scratch);
  }

  @Override
  public long adafactorScratchBytes(long rows, long cols) {
    return CudaAdafactor.scratchBytes(rows, cols);
  }

  static @Nullable Tensor copyOf(@Nullable Tensor computeCopy) {
    if (computeCopy != null && computeCopy.dtype() != DType.BF16) {
      throw new UnsupportedOperationException(
          "compute copies are BF16, not " + computeCopy.dtype());
    }
    return computeCopy;
  }

  record AdamWParameters(
      DevicePtr parameter,
      DevicePtr gradient,
      DevicePtr m,
      DevicePtr v,
      DevicePtr copy,
      DevicePtr norm,
      float maxNorm,
      long count,
      float decay,
      float oneMinusBeta1,
      float beta2,
      float oneMinusBeta2,
      float stepSize,
      float rootCorrection2,
      float epsilon) {}

  record SgdParameters(
      DevicePtr parameter,
      DevicePtr gradient,
      DevicePtr buffer,
      DevicePtr copy,
      DevicePtr norm,
      float maxNorm,
      long count,
      float learningRate,
      float momentum,
      float weightDecay,
      int first) {}

  record SquarePartial(DevicePtr partial, DevicePtr x, long count) {}

  record SquareFinish(DevicePtr norm, DevicePtr partial, int count) {}
}
