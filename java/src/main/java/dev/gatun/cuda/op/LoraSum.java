package dev.gatun.cuda.op;

import static dev.gatun.cuda.op.DeviceStorage.pointer;
import static dev.gatun.cuda.op.DeviceStorage.pointerOrNull;

import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.Kernel;
import dev.gatun.cuda.KernelSpec;
import dev.gatun.op.Normalized;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// Sums the partial results of narrow products, in order.
final class LoraSum {
  private static final KernelSpec<Sum> SUM = new KernelSpec<>("lora", "lora_sum_f32", Sum.class);

  private final Launcher launcher;
  private final Kernel<Sum> sum;

  LoraSum(Launcher launcher) {
    this.launcher = launcher;
    sum = launcher.kernel(SUM);
  }

  /// @param target null where there is nothing to sum
  /// @param partial F32, `count` times as large
  record Parts(@Nullable Tensor target, @Nullable Tensor partial, int count) {}

  /// `rows.target = scale·Σ partial` (BF16) and `columns.target += scale·Σ partial` (F32).
  ///
  /// @param normalized whose weight multiplies the columns of the second, or null
  void run(Parts rows, Parts columns, float scale, @Nullable Normalized normalized) {
    Tensor inner = rows.target();
    Tensor gradient = columns.target();
    Tensor weight = normalized == null ? null : normalized.weight();
    long elements = (inner == null ? 0 : inner.count()) + (gradient == null ? 0 : gradient.count());
    launcher.launch(
        sum,
        launcher.gridStride(elements / 4),
        new Sum(
            inner == null ? DevicePtr.NULL : pointer(inner, DType.BF16, "the narrow result"),
            inner == null ? 0 : inner.rowStride(),
            pointerOrNull(rows.partial()),
            rows.count(),
            inner == null ? 0 : inner.rows(),
            inner == null ? 0 : inner.cols(),
            gradient == null ? DevicePtr.NULL : pointer(gradient, DType.F32, "the gradient"),
            gradient == null ? 0 : gradient.rowStride(),
            pointerOrNull(columns.partial()),
            columns.count(),
            gradient == null ? 0 : gradient.rows(),
            gradient == null ? 0 : gradient.cols(),
            scale,
            pointerOrNull(weight),
            weight == null ? 0 : Launcher.typeCode(weight.dtype()),
            normalized == null ? 0 : normalized.offset()));
  }

  record Sum(
      DevicePtr inner,
      long innerStride,
      DevicePtr rowPartial,
      int ranges,
      long rows,
      long rank,
      DevicePtr gradient,
      long gradientStride,
      DevicePtr columnPartial,
      int chunks,
      long gradientRows,
      long gradientColumns,
      float scale,
      DevicePtr columnWeight,
      int columnWeightType,
      float columnOffset) {}
}
