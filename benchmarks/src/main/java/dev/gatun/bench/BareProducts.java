package dev.gatun.bench;

import dev.gatun.op.Accumulate;
import dev.gatun.op.MatmulOps;
import dev.gatun.op.Projection;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The products of a dense linear layer and nothing else: on a GPU, the library's.
final class BareProducts {
  private static final List<@Nullable Tensor> NONE = Arrays.asList((Tensor) null);

  private final MatmulOps ops;
  private final List<Projection> weight;
  private final TensorArena scratch;

  BareProducts(Workplace place, long rows, Weight.Dense weight) {
    ops = place.backend().matmul();
    this.weight = List.of(new Projection(weight, null, null));
    scratch = place.arena(ops.scratchBytes(rows, this.weight));
  }

  /// `y = x·Wᵀ`.
  void forward(Tensor y, Tensor x) {
    ops.forward(List.of(y), NONE, x, null, weight, scratch);
  }

  /// `dx = dy·W`.
  void inputGradient(Tensor dx, Tensor dy) {
    List<Projection.Gradients> frozen = List.of(Projection.Gradients.NONE);
    ops.backward(dx, Accumulate.REPLACE, List.of(dy), NONE, NONE, weight, frozen, scratch);
  }

  /// `dW += dyᵀ·x`.
  void weightGradient(Tensor dW, Tensor dy, Tensor x) {
    List<Projection.Gradients> trained = List.of(new Projection.Gradients(dW, null, null, null));
    ops.weightGradients(List.of(dy), NONE, x, weight, trained, scratch);
  }
}
