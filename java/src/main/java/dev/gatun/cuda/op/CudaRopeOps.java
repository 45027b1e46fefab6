package dev.gatun.cuda.op;

import static dev.gatun.cuda.op.DeviceStorage.pointer;

import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.Kernel;
import dev.gatun.cuda.KernelSpec;
import dev.gatun.op.RopeOps;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;

/// Launches `rope.cu`.
final class CudaRopeOps implements RopeOps {
  private static final KernelSpec<Apply> KERNEL =
      new KernelSpec<>("rope", "rope_apply_bf16", Apply.class);

  private final Launcher launcher;
  private final Kernel<Apply> kernel;

  CudaRopeOps(Launcher launcher) {
    this.launcher = launcher;
    kernel = launcher.kernel(KERNEL);
  }

  @Override
  public void apply(Tensor x, Tensor rows, Tensor cos, Tensor sin, boolean inverse) {
    if (x.rows() == 0) {
      return;
    }
    int half = Math.toIntExact(cos.cols());
    int heads = Math.toIntExact(x.shape().dim(1));
    int headSize = Math.toIntExact(x.shape().dim(2));
    int vector = half % 8 == 0 ? Launcher.vector(headSize, x, cos, sin) : 0;
    launcher.launch(
        kernel,
        launcher.gridStride(x.rows() * heads * half / (vector == 1 ? 8 : 1)),
        new Apply(
            pointer(x, DType.BF16, "x"),
            pointer(rows, DType.I32, "rows"),
            pointer(cos, DType.F32, "cos"),
            pointer(sin, DType.F32, "sin"),
            x.rows(),
            heads,
            headSize,
            half,
            x.rowStride(),
            inverse ? -1f : 1f,
            vector));
  }

  record Apply(
      DevicePtr x,
      DevicePtr rows,
      DevicePtr cos,
      DevicePtr sin,
      long tokens,
      int heads,
      int headSize,
      int half,
      long stride,
      float sign,
      int vector) {}
}
