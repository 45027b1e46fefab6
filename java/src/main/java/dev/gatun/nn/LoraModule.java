package dev.gatun.nn;

import dev.gatun.model.LoraConfig;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.PlannedStorage;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// The low-rank update of one linear layer as it enters a model: its settings and starting values.
///
/// @param a host `[R, in]`, any floating type
/// @param b host `[out, R]`, any floating type
/// @param magnitude host `[out]`, any floating type; null where there is none, or where it starts
///   as the norms of the updated weight
public record LoraModule(
    LoraConfig.Adapted adapted, Tensor a, Tensor b, @Nullable Tensor magnitude) {
  public LoraModule {
    if (a.shape().rank() != 2 || b.shape().rank() != 2) {
      throw new IllegalArgumentException("A " + a.shape() + " and B " + b.shape());
    }
    if (magnitude != null && !magnitude.shape().equals(Shape.of(b.rows()))) {
      throw new IllegalArgumentException("magnitude " + magnitude.shape() + " and B " + b.shape());
    }
    if (a.rows() != adapted.rank() || b.cols() != adapted.rank()) {
      throw new IllegalArgumentException(
          "rank " + adapted.rank() + ", but A is " + a.shape() + " and B is " + b.shape());
    }
  }

  /// A plain update, or a weight-decomposed one whose magnitude starts as the norms.
  public LoraModule(LoraConfig.Adapted adapted, Tensor a, Tensor b) {
    this(adapted, a, b, null);
  }

  /// An update without values, for [CausalLm#memoryNeed].
  static LoraModule planned(LoraConfig.Adapted adapted, ModuleTree.Linear linear) {
    return new LoraModule(
        adapted,
        PlannedStorage.tensor(DType.F32, Shape.of(adapted.rank(), linear.in())),
        PlannedStorage.tensor(DType.F32, Shape.of(linear.out(), adapted.rank())));
  }
}
