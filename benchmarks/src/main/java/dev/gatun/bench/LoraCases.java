package dev.gatun.bench;

import dev.gatun.op.Accumulate;
import dev.gatun.op.Projection;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The narrow products of low-rank updates without the products of the frozen weight beside them:
/// `x·Aᵀ`; the gradient of B alone; and the gradients of A and B, with the `dy·B` that A's needs.
/// Their floor is one pass over the activations that they take.
final class LoraCases {
  private final ModelShape model;
  private final DType activationType;
  private final List<KernelCase> cases = new ArrayList<>();

  private LoraCases(ModelShape model, DType activationType) {
    this.model = model;
    this.activationType = activationType;
  }

  static List<KernelCase> of(ModelShape model, DType activationType) {
    LoraCases all = new LoraCases(model, activationType);
    for (ModelShape.Matrix matrix : model.matrices()) {
      all.add(matrix.name(), List.of(matrix));
    }
    ModelShape.Matrix query = model.matrices().get(0);
    ModelShape.Matrix key = model.matrices().get(1);
    ModelShape.Matrix gate = model.matrices().get(2);
    all.add("q+k+v", List.of(query, key, key));
    all.add("gate+up", List.of(gate, gate));
    return all.cases;
  }

  private void add(String name, List<ModelShape.Matrix> matrices) {
    double rows = model.tokens();
    double in = matrices.getFirst().in();
    double out = matrices.stream().mapToDouble(ModelShape.Matrix::out).sum();
    double rank = model.rank();
    double ranks = rank * matrices.size();
    int element = activationType.bytes();
    // Gradients are read and written in F32; B and its gradient are as long as the outputs are
    // wide.
    double x = (rows + ranks) * in * element + rows * ranks * element;
    double dA = 2 * ranks * in * Float.BYTES;
    double dB = rows * (out + ranks) * element + 2 * rank * out * Float.BYTES;
    String shape = "M=%d %s r=%d".formatted(model.tokens(), name, model.rank());
    add("inner", shape, 2 * rows * ranks * in, x, place -> inner(place, matrices));
    add("gradient_b", shape, 2 * rows * rank * out, dB, p -> gradients(p, matrices, false));
    add(
        "gradients",
        shape,
        2 * rows * (ranks * in + 2 * rank * out),
        rows * in * element + dA + dB + rank * out * element,
        place -> gradients(place, matrices, true));
  }

  private void add(String product, String shape, double flops, double bytes, Prepare prepare) {
    cases.add(new KernelCase("lora_product_" + product, shape, flops, bytes, prepare::work));
  }

  private interface Prepare {
    Runnable work(Workplace place);
  }

  private List<Projection> projections(Workplace place, List<ModelShape.Matrix> matrices) {
    List<Projection> projections = new ArrayList<>();
    for (ModelShape.Matrix matrix : matrices) {
      projections.add(
          new Projection(
              place.nf4(matrix.out(), matrix.in()),
              null,
              place.lora(matrix.out(), matrix.in(), model.rank())));
    }
    return projections;
  }

  private List<@Nullable Tensor> inner(Workplace place, int count) {
    List<@Nullable Tensor> inner = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      inner.add(place.activation(model.tokens(), model.rank()));
    }
    return inner;
  }

  private TensorArena scratch(Workplace place, List<Projection> projections) {
    return place.arena(place.backend().matmul().scratchBytes(model.tokens(), projections));
  }

  private Runnable inner(Workplace place, List<ModelShape.Matrix> matrices) {
    List<Projection> projections = projections(place, matrices);
    Tensor x = place.activation(model.tokens(), matrices.getFirst().in());
    List<@Nullable Tensor> inner = inner(place, matrices.size());
    TensorArena scratch = scratch(place, projections);
    return () -> place.backend().matmul().loraInner(inner, x, projections, scratch);
  }

  private Runnable gradients(Workplace place, List<ModelShape.Matrix> matrices, boolean both) {
    int in = matrices.getFirst().in();
    List<Projection> projections = projections(place, matrices);
    Tensor x = place.activation(model.tokens(), in);
    List<Tensor> dys =
        matrices.stream().map(m -> place.activation(model.tokens(), m.out())).toList();
    List<@Nullable Tensor> inner = inner(place, matrices.size());
    List<Projection.Gradients> gradients = new ArrayList<>();
    for (ModelShape.Matrix matrix : matrices) {
      Tensor a = both ? place.zeros(DType.F32, model.rank(), in) : null;
      Tensor b = place.zeros(DType.F32, matrix.out(), model.rank());
      gradients.add(new Projection.Gradients(null, null, a, b));
    }
    TensorArena scratch = scratch(place, projections);
    List<Projection.Gradients> wanted = Collections.unmodifiableList(gradients);
    return () ->
        place
            .backend()
            .matmul()
            .backward(null, Accumulate.REPLACE, dys, x, inner, projections, wanted, scratch);
  }
}
