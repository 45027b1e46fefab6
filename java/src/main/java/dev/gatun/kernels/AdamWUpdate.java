package dev.gatun.kernels;

import dev.gatun.op.OptimizerOps;
import dev.gatun.tensor.DType;
import org.jspecify.annotations.Nullable;

/// One step of PyTorch's AdamW over flat F32 buffers of the same size.
///
/// @param parameter updated in place
/// @param gradient read
/// @param m first moment, updated
/// @param v second moment, updated
/// @param computeCopy BF16, receives the rounded parameter; or null
/// @param clip the gradient is first multiplied by `min(1, maxNorm / (norm + 1e-6))`; or null
public record AdamWUpdate(
    Vector parameter,
    Vector gradient,
    Vector m,
    Vector v,
    @Nullable Vector computeCopy,
    @Nullable Clip clip,
    OptimizerOps.AdamW step) {

  /// @param norm F32 `[1]`, as [GatunKernels#globalNorm] leaves it
  public record Clip(Vector norm, float maxNorm) {
    public Clip {
      Require.count("norm", norm, DType.F32, 1);
    }
  }

  public AdamWUpdate {
    long count = parameter.count();
    Require.count("parameter", parameter, DType.F32, count);
    Require.count("gradient", gradient, DType.F32, count);
    Require.count("m", m, DType.F32, count);
    Require.count("v", v, DType.F32, count);
    if (computeCopy != null) {
      Require.count("computeCopy", computeCopy, DType.BF16, count);
    }
  }

  /// Without a compute copy and without clipping.
  public AdamWUpdate(
      Vector parameter, Vector gradient, Vector m, Vector v, OptimizerOps.AdamW step) {
    this(parameter, gradient, m, v, null, null, step);
  }
}
