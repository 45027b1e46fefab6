package dev.gatun.cuda.op;

import static dev.gatun.cuda.op.DeviceStorage.pointer;
import static dev.gatun.cuda.op.DeviceStorage.pointerOrNull;

import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.Kernel;
import dev.gatun.cuda.KernelSpec;
import dev.gatun.cuda.LaunchConfig;
import dev.gatun.op.OptimizerOps.AdamW;
import dev.gatun.op.OptimizerOps.Blockwise;
import dev.gatun.op.OptimizerOps.Clip;
import dev.gatun.op.OptimizerOps.Lion;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// Launches `optimizer8bit.cu`.
final class CudaMomentUpdates {
  private static final KernelSpec<AdamWParameters> ADAM_W =
      new KernelSpec<>("optimizer8bit", "adamw_8bit", AdamWParameters.class);
  private static final KernelSpec<LionBlockwiseParameters> LION_BLOCKWISE =
      new KernelSpec<>("optimizer8bit", "lion_8bit", LionBlockwiseParameters.class);
  private static final KernelSpec<LionParameters> LION =
      new KernelSpec<>("optimizer8bit", "lion_f32", LionParameters.class);

  private static final int PER_THREAD = 8;
  private static final int VECTOR_BYTES = 16;

  private final Launcher launcher;
  private final Kernel<AdamWParameters> adamW;
  private final Kernel<LionBlockwiseParameters> lionBlockwise;
  private final Kernel<LionParameters> lion;

  CudaMomentUpdates(Launcher launcher) {
    this.launcher = launcher;
    adamW = launcher.kernel(ADAM_W);
    lionBlockwise = launcher.kernel(LION_BLOCKWISE);
    lion = launcher.kernel(LION);
  }

  /// What an update moves, and what moves it.
  record Target(
      Tensor parameter, Tensor gradient, @Nullable Tensor computeCopy, @Nullable Clip clip) {
    long count() {
      return parameter.count();
    }

    DevicePtr parameters() {
      return aligned(pointer(parameter, DType.F32, "parameter"));
    }

    DevicePtr gradients() {
      return aligned(pointer(gradient, DType.F32, "gradient"));
    }

    DevicePtr copy() {
      return aligned(pointerOrNull(CudaOptimizerOps.copyOf(computeCopy)));
    }

    DevicePtr norm() {
      return clip == null ? DevicePtr.NULL : pointer(clip.norm(), DType.F32, "norm");
    }

    float maxNorm() {
      return clip == null ? 0 : clip.maxNorm();
    }
  }

  void adamW8bit(Target target, Blockwise m, Blockwise v, AdamW step) {
    double correction1 = 1 - Math.pow(step.beta1(), (double) step.step());
    double correction2 = 1 - Math.pow(step.beta2(), (double) step.step());
    launcher.launch(
        adamW,
        geometry(target),
        new AdamWParameters(
            target.parameters(),
            target.gradients(),
            codes(m),
            pointer(m.absmax(), DType.F32, "absmax"),
            pointer(m.map(), DType.F32, "map"),
            codes(v),
            pointer(v.absmax(), DType.F32, "absmax"),
            pointer(v.map(), DType.F32, "map"),
            target.copy(),
            target.norm(),
            target.maxNorm(),
            target.count(),
            (float) (1 - step.learningRate() * step.weightDecay()),
            (float) step.beta1(),
            (float) (1 - step.beta1()),
            (float) step.beta2(),
            (float) (1 - step.beta2()),
            (float) (step.learningRate() / correction1),
            (float) Math.sqrt(correction2),
            (float) step.epsilon()));
  }

  void lion(Target target, Tensor m, Lion step) {
    launcher.launch(
        lion,
        geometry(target),
        new LionParameters(
            target.parameters(),
            target.gradients(),
            aligned(pointer(m, DType.F32, "m")),
            target.copy(),
            target.norm(),
            target.maxNorm(),
            target.count(),
            (float) (1 - step.learningRate() * step.weightDecay()),
            (float) step.learningRate(),
            (float) step.beta1(),
            (float) (1 - step.beta1()),
            (float) step.beta2(),
            (float) (1 - step.beta2())));
  }

  void lion8bit(Target target, Blockwise m, Lion step) {
    launcher.launch(
        lionBlockwise,
        geometry(target),
        new LionBlockwiseParameters(
            target.parameters(),
            target.gradients(),
            codes(m),
            pointer(m.absmax(), DType.F32, "absmax"),
            pointer(m.map(), DType.F32, "map"),
            target.copy(),
            target.norm(),
            target.maxNorm(),
            target.count(),
            (float) (1 - step.learningRate() * step.weightDecay()),
            (float) step.learningRate(),
            (float) step.beta1(),
            (float) (1 - step.beta1()),
            (float) step.beta2(),
            (float) (1 - step.beta2())));
  }

  private LaunchConfig geometry(Target target) {
    return launcher.gridStride(Math.ceilDiv(target.count(), (long) PER_THREAD));
  }

  private static DevicePtr codes(Blockwise moment) {
    return aligned(pointer(moment.codes(), DType.U8, "codes"));
  }

  private static DevicePtr aligned(DevicePtr pointer) {
    if (pointer.address() % VECTOR_BYTES != 0) {
      throw new IllegalArgumentException(
          "optimiser buffers start at multiples of 16 bytes, not at " + pointer);
    }
    return pointer;
  }

  record AdamWParameters(
      DevicePtr parameter,
      DevicePtr gradient,
      DevicePtr mCodes,
      DevicePtr mAbsmax,
      DevicePtr mMap,
      DevicePtr vCodes,
      DevicePtr vAbsmax,
      DevicePtr vMap,
      DevicePtr copy,
      DevicePtr norm,
      float maxNorm,
      long count,
      float decay,
      float beta1,
      float oneMinusBeta1,
      float beta2,
      float oneMinusBeta2,
      float stepSize,
      float rootCorrection2,
      float epsilon) {}

  record LionBlockwiseParameters(
      DevicePtr parameter,
      DevicePtr gradient,
      DevicePtr mCodes,
      DevicePtr mAbsmax,
      DevicePtr mMap,
      DevicePtr copy,
      DevicePtr norm,
      float maxNorm,
      long count,
      float decay,
      float learningRate,
      float beta1,
      float oneMinusBeta1,
      float beta2,
      float oneMinusBeta2) {}

  record LionParameters(
      DevicePtr parameter,
      DevicePtr gradient,
      DevicePtr moment,
      DevicePtr copy,
      DevicePtr norm,
      float maxNorm,
      long count,
      float decay,
      float learningRate,
      float beta1,
      float oneMinusBeta1,
      float beta2,
      float oneMinusBeta2) {}
}
