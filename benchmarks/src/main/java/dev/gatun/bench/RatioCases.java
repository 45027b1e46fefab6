package dev.gatun.bench;

import dev.gatun.op.Accumulate;
import dev.gatun.op.Projection;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// An NF4 layer with its low-rank update beside the bare product of the same shape with a dense
/// weight. Bytes are those of the packed weight, its scales and the activations: the update's
/// factors come on top.
///
/// Backward is the input gradient through weight and update; what the update's own gradients cost
/// `nf4_lora_backward` tells.
final class RatioCases {
  private final ModelShape model;
  private final int activationBytes;
  private final List<KernelCase> cases = new ArrayList<>();

  private RatioCases(ModelShape model, DType activationType) {
    this.model = model;
    this.activationBytes = activationType.bytes();
  }

  static List<KernelCase> of(ModelShape model, DType activationType) {
    RatioCases all = new RatioCases(model, activationType);
    for (ModelShape.Matrix matrix : model.matrices()) {
      for (int rows : model.ratioRows()) {
        all.add(matrix, rows);
      }
    }
    return all.cases;
  }

  private void add(ModelShape.Matrix matrix, int rows) {
    String shape = "M=%d %s %dx%d".formatted(rows, matrix.name(), matrix.out(), matrix.in());
    double flops = 2.0 * rows * matrix.out() * matrix.in();
    double bytes =
        LinearCases.weightBytes(matrix)
            + (double) rows * (matrix.out() + matrix.in()) * activationBytes;
    cases.add(
        new KernelCase(
            "nf4_ratio_forward",
            shape,
            flops,
            bytes,
            place -> forward(place, matrix, rows),
            place -> bare(place, matrix, rows, false)));
    cases.add(
        new KernelCase(
            "nf4_ratio_backward",
            shape,
            flops,
            bytes,
            place -> backward(place, matrix, rows),
            place -> bare(place, matrix, rows, true)));
  }

  private List<List<Projection>> copies(Workplace place, ModelShape.Matrix matrix, int rows) {
    return LinearCases.copies(
        place, matrix, rows, place.lora(matrix.out(), matrix.in(), model.rank()));
  }

  private Runnable forward(Workplace place, ModelShape.Matrix matrix, int rows) {
    List<List<Projection>> copies = copies(place, matrix, rows);
    // As a layer lays it out: inner columns behind the input.
    Tensor wide = place.activation(rows, matrix.in() + model.rank());
    Tensor x = wide.columns(0, matrix.in());
    List<@Nullable Tensor> inner = List.of(wide.columns(matrix.in(), model.rank()));
    List<Tensor> y = List.of(place.activation(rows, matrix.out()));
    TensorArena scratch = LinearCases.scratch(place, rows, copies.getFirst());
    return LinearCases.rotating(
        copies, weight -> place.backend().matmul().forward(y, inner, x, null, weight, scratch));
  }

  private Runnable backward(Workplace place, ModelShape.Matrix matrix, int rows) {
    List<List<Projection>> copies = copies(place, matrix, rows);
    Tensor wide = place.activation(rows, matrix.out() + model.rank());
    List<Tensor> dy = List.of(wide.columns(0, matrix.out()));
    List<@Nullable Tensor> dInner = List.of(wide.columns(matrix.out(), model.rank()));
    List<@Nullable Tensor> inner = List.of(place.activation(rows, model.rank()));
    Tensor dx = place.activation(rows, matrix.in());
    List<Projection.Gradients> frozen = List.of(Projection.Gradients.NONE);
    TensorArena scratch = LinearCases.scratch(place, rows, copies.getFirst());
    return LinearCases.rotating(
        copies,
        weight ->
            place
                .backend()
                .matmul()
                .backward(dx, Accumulate.REPLACE, dy, inner, dInner, weight, frozen, scratch));
  }

  private static Runnable bare(
      Workplace place, ModelShape.Matrix matrix, int rows, boolean backward) {
    long weightBytes = (long) matrix.out() * matrix.in() * DType.BF16.bytes();
    int count = LinearCases.copyCount(weightBytes, rows);
    Tensor in = place.activation(rows, matrix.in());
    Tensor out = place.activation(rows, matrix.out());
    List<BareProducts> copies = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      copies.add(new BareProducts(place, rows, place.dense(matrix.out(), matrix.in())));
    }
    return LinearCases.rotating(
        copies,
        weight -> {
          if (backward) {
            weight.inputGradient(in, out);
          } else {
            weight.forward(out, in);
          }
        });
  }
}
