package dev.gatun.bench;

import dev.gatun.op.Accumulate;
import dev.gatun.op.MatmulOps;
import dev.gatun.op.Projection;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The narrow products of low-rank updates without the products of the frozen weight beside them:
/// `dy·B` alone, which is also `x·Aᵀ` of a layer as wide; `dy·B` with the gradient of B; and the
/// gradient of A. Their floor is one pass over `dy` or `x`.
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
    double inner = rows * ranks * element;
    double dy = (rows + rank) * out * element + inner;
    // Gradients are read and written in F32.
    double both = dy + inner + 2 * rank * out * Float.BYTES;
    double x = rows * in * element + inner + 2 * ranks * in * Float.BYTES;
    double flops = 2 * rows * rank * out;
    String shape = "M=%d %s r=%d".formatted(model.tokens(), name, model.rank());
    add("inner_gradient", shape, flops, dy, place -> backward(place, matrices, false));
    add("backward_b", shape, 2 * flops, both, place -> backward(place, matrices, true));
    add("gradient_a", shape, 2 * rows * ranks * in, x, place -> gradientA(place, matrices));
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

  // Side by side, as a layer lays them out.
  private List<@Nullable Tensor> inner(Workplace place, int count) {
    Tensor together = place.activation(model.tokens(), (long) count * model.rank());
    List<@Nullable Tensor> inner = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      inner.add(together.columns((long) i * model.rank(), model.rank()));
    }
    return inner;
  }

  private List<Tensor> outputs(Workplace place, List<ModelShape.Matrix> matrices) {
    return matrices.stream().map(m -> place.activation(model.tokens(), m.out())).toList();
  }

  private TensorArena scratch(Workplace place, List<Projection> projections) {
    return place.arena(place.backend().matmul().scratchBytes(model.tokens(), projections));
  }

  private Runnable backward(Workplace place, List<ModelShape.Matrix> matrices, boolean trained) {
    List<Projection> projections = projections(place, matrices);
    List<Tensor> dys = outputs(place, matrices);
    List<@Nullable Tensor> inner = inner(place, matrices.size());
    List<@Nullable Tensor> innerGradients = inner(place, matrices.size());
    List<Projection.Gradients> gradients = new ArrayList<>();
    for (ModelShape.Matrix matrix : matrices) {
      Tensor b = trained ? place.zeros(DType.F32, matrix.out(), model.rank()) : null;
      gradients.add(new Projection.Gradients(null, null, null, b));
    }
    TensorArena scratch = scratch(place, projections);
    MatmulOps ops = place.backend().matmul();
    return () ->
        ops.backward(
            null, Accumulate.REPLACE, dys, inner, innerGradients, projections, gradients, scratch);
  }

  private Runnable gradientA(Workplace place, List<ModelShape.Matrix> matrices) {
    int in = matrices.getFirst().in();
    int rank = model.rank();
    List<Projection> projections = projections(place, matrices);
    List<Tensor> dys = outputs(place, matrices);
    Tensor x = place.activation(model.tokens(), in);
    List<@Nullable Tensor> innerGradients = inner(place, matrices.size());
    Tensor together = place.zeros(DType.F32, (long) matrices.size() * rank, in);
    List<Projection.Gradients> gradients = new ArrayList<>();
    for (int i = 0; i < matrices.size(); i++) {
      Tensor a = together.rows((long) i * rank, rank);
      gradients.add(new Projection.Gradients(null, null, a, null));
    }
    TensorArena scratch = scratch(place, projections);
    MatmulOps ops = place.backend().matmul();
    return () -> ops.weightGradients(dys, innerGradients, x, projections, gradients, scratch);
  }
}
