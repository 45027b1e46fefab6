package dev.gatun.nn;

import dev.gatun.op.Accumulate;
import dev.gatun.op.MatmulOps;
import dev.gatun.op.Projection;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Linear layers that share their input, so that the backend may compute them together.
final class LinearGroup {
  private final List<Linear> linears;
  private final List<Projection> training;
  private final List<Projection> inference;
  private final List<Projection.Gradients> gradients;
  private final List<Projection.Gradients> frozen;

  LinearGroup(Linear... linears) {
    this.linears = List.of(linears);
    training = this.linears.stream().map(Linear::training).toList();
    inference = this.linears.stream().map(Linear::inference).toList();
    gradients = this.linears.stream().map(Linear::gradients).toList();
    frozen = this.linears.stream().map(_ -> Projection.Gradients.NONE).toList();
  }

  boolean isTrained() {
    return linears.stream().anyMatch(Linear::isTrained);
  }

  /// Output features of each layer.
  long out(int index) {
    return linears.get(index).out();
  }

  /// Room for what forward keeps of each low-rank update; null where nothing is kept.
  List<@Nullable Tensor> allocateInner(Pass pass) {
    List<@Nullable Tensor> inner = new ArrayList<>();
    for (Linear linear : linears) {
      boolean kept = pass.training() && linear.isUpdateTrained();
      inner.add(kept ? pass.activation(pass.tokenCount(), linear.rank()) : null);
    }
    return inner;
  }

  /// As [#forward] without keeping anything.
  List<@Nullable Tensor> nothingKept() {
    List<@Nullable Tensor> inner = new ArrayList<>();
    linears.forEach(_ -> inner.add(null));
    return inner;
  }

  void forward(
      List<Tensor> ys,
      List<@Nullable Tensor> inner,
      Tensor x,
      @Nullable Tensor residual,
      Pass pass) {
    matmul(pass).forward(ys, inner, x, residual, projections(pass), pass.arena());
  }

  /// Computes what forward would have kept.
  void inner(List<@Nullable Tensor> inner, Tensor x, Pass pass) {
    if (inner.stream().anyMatch(tensor -> tensor != null)) {
      matmul(pass).loraInner(inner, x, projections(pass), pass.arena());
    }
  }

  /// Parameter gradients, and `dx` unless null.
  void backward(
      @Nullable Tensor dx, List<Tensor> dys, Tensor x, List<@Nullable Tensor> inner, Pass pass) {
    matmul(pass)
        .backward(
            dx, Accumulate.REPLACE, dys, x, inner, projections(pass), gradients, pass.arena());
  }

  /// `dx` alone.
  ///
  /// @param x any tensor shaped as the input; it is not read
  void inputGradient(Tensor dx, List<Tensor> dys, Tensor x, Pass pass) {
    matmul(pass)
        .backward(
            dx, Accumulate.REPLACE, dys, x, nothingKept(), projections(pass), frozen, pass.arena());
  }

  private List<Projection> projections(Pass pass) {
    return pass.training() ? training : inference;
  }

  private static MatmulOps matmul(Pass pass) {
    return pass.backend().matmul();
  }
}
