package dev.gatun.cuda.op;

import static dev.gatun.cuda.op.DeviceStorage.pointer;
import static dev.gatun.cuda.op.DeviceStorage.pointerOrNull;

import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.Kernel;
import dev.gatun.cuda.KernelSpec;
import dev.gatun.op.GatedUpdates;
import dev.gatun.op.MlpOps;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// Launches `mlp.cu`.
final class CudaMlpOps implements MlpOps {
  private static final KernelSpec<Forward> FORWARD =
      new KernelSpec<>("mlp", "glu_forward_bf16", Forward.class);
  private static final KernelSpec<Backward> BACKWARD =
      new KernelSpec<>("mlp", "glu_backward_bf16", Backward.class);

  private final Launcher launcher;
  private final Kernel<Forward> forward;
  private final Kernel<Backward> backward;
  private final GatedLora gatedLora;

  CudaMlpOps(Launcher launcher) {
    this.launcher = launcher;
    forward = launcher.kernel(FORWARD);
    backward = launcher.kernel(BACKWARD);
    gatedLora = new GatedLora(launcher);
  }

  @Override
  public void forward(Tensor h, Tensor gate, Tensor up, Activation activation) {
    if (gate.count() == 0) {
      return;
    }
    int vector = Launcher.vector(gate.cols(), h, gate, up);
    launcher.launch(
        forward,
        launcher.gridStride(gate.count() / (vector == 1 ? 8 : 1)),
        new Forward(
            pointer(h, DType.BF16, "h"),
            pointer(gate, DType.BF16, "gate"),
            pointer(up, DType.BF16, "up"),
            gate.rows(),
            Math.toIntExact(gate.cols()),
            h.rowStride(),
            gate.rowStride(),
            up.rowStride(),
            code(activation),
            vector));
  }

  @Override
  public void backward(
      Tensor dgate,
      Tensor dup,
      @Nullable Tensor h,
      Tensor dh,
      Tensor gate,
      Tensor up,
      Activation activation) {
    if (gate.count() == 0) {
      return;
    }
    Tensor again = h == null ? dh : h;
    int vector = Launcher.vector(gate.cols(), dgate, dup, again, dh, gate, up);
    launcher.launch(
        backward,
        launcher.gridStride(gate.count() / (vector == 1 ? 8 : 1)),
        new Backward(
            pointer(dgate, DType.BF16, "dgate"),
            pointer(dup, DType.BF16, "dup"),
            pointerOrNull(h),
            pointer(dh, DType.BF16, "dh"),
            pointer(gate, DType.BF16, "gate"),
            pointer(up, DType.BF16, "up"),
            gate.rows(),
            Math.toIntExact(gate.cols()),
            dgate.rowStride(),
            dup.rowStride(),
            again.rowStride(),
            dh.rowStride(),
            gate.rowStride(),
            up.rowStride(),
            code(activation),
            vector));
  }

  @Override
  public boolean backwardWithUpdates(
      Tensor gate,
      Tensor up,
      Tensor dh,
      Activation activation,
      GatedUpdates updates,
      TensorArena scratch) {
    if (!gatedLora.suits(gate, up, dh, updates)) {
      return false;
    }
    gatedLora.run(gate, up, dh, code(activation), updates, scratch);
    return true;
  }

  @Override
  public long updatesScratchBytes(long rows, long cols, long rank) {
    return GatedLora.scratchBytes(rows, cols, rank);
  }

  private static int code(Activation activation) {
    return switch (activation) {
      case SILU -> 0;
      case GELU_TANH -> 1;
      case GELU -> 2;
    };
  }

  record Forward(
      DevicePtr h,
      DevicePtr gate,
      DevicePtr up,
      long rows,
      int cols,
      long hStride,
      long gateStride,
      long upStride,
      int activation,
      int vector) {}

  record Backward(
      DevicePtr dgate,
      DevicePtr dup,
      DevicePtr h,
      DevicePtr dh,
      DevicePtr gate,
      DevicePtr up,
      long rows,
      int cols,
      long dgateStride,
      long dupStride,
      long hStride,
      long dhStride,
      long gateStride,
      long upStride,
      int activation,
      int vector) {}
}
