package dev.gatun.bench;

import dev.gatun.op.Accumulate;
import dev.gatun.op.Projection;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.ToLongFunction;
import org.jspecify.annotations.Nullable;

/// Linear layers: NF4 alone at many numbers of rows, and with low-rank updates at a training batch.
final class LinearCases {
  /// Weights rotate until this many bytes are touched, so that none is still in a cache. With many
  /// rows the activations see to that.
  private static final long CACHE_BYTES = 256L << 20;

  private static final int MOST_COPIES = 64;
  private static final int MANY_ROWS = 1024;

  private final ModelShape model;
  private final int activationBytes;
  private final List<KernelCase> cases = new ArrayList<>();

  private LinearCases(ModelShape model, DType activationType) {
    this.model = model;
    this.activationBytes = activationType.bytes();
  }

  static List<KernelCase> of(ModelShape model, DType activationType) {
    LinearCases all = new LinearCases(model, activationType);
    for (ModelShape.Matrix matrix : model.matrices()) {
      for (int rows : model.rows()) {
        all.frozen(matrix, rows);
      }
    }
    for (ModelShape.Matrix matrix : model.matrices()) {
      all.adapted("lora", matrix.name(), List.of(matrix));
    }
    ModelShape.Matrix query = model.matrices().get(0);
    ModelShape.Matrix key = model.matrices().get(1);
    ModelShape.Matrix gate = model.matrices().get(2);
    all.adapted("lora_group", "q+k+v", List.of(query, key, key));
    all.adapted("lora_group", "gate+up", List.of(gate, gate));
    return all.cases;
  }

  private void frozen(ModelShape.Matrix matrix, int rows) {
    String shape = "M=%d %s %dx%d".formatted(rows, matrix.name(), matrix.out(), matrix.in());
    double flops = 2.0 * rows * matrix.out() * matrix.in();
    double bytes =
        weightBytes(matrix) + (double) rows * (matrix.out() + matrix.in()) * activationBytes;
    cases.add(
        new KernelCase(
            "nf4_linear_forward", shape, flops, bytes, place -> forward(place, matrix, rows)));
    cases.add(
        new KernelCase(
            "nf4_linear_backward", shape, flops, bytes, place -> backward(place, matrix, rows)));
  }

  static double weightBytes(ModelShape.Matrix matrix) {
    // A nibble, a byte a block of 64, four bytes 256 of those.
    return (double) matrix.out() * matrix.in() * (0.5 + 1.0 / 64 + 4.0 / (64 * 256));
  }

  private static Runnable forward(Workplace place, ModelShape.Matrix matrix, int rows) {
    List<List<Projection>> copies = copies(place, matrix, rows, null);
    Tensor x = place.activation(rows, matrix.in());
    Tensor y = place.activation(rows, matrix.out());
    TensorArena scratch = scratch(place, rows, copies.getFirst());
    List<@Nullable Tensor> none = Arrays.asList((Tensor) null);
    return rotating(
        copies,
        weight -> place.backend().matmul().forward(List.of(y), none, x, null, weight, scratch));
  }

  private static Runnable backward(Workplace place, ModelShape.Matrix matrix, int rows) {
    List<List<Projection>> copies = copies(place, matrix, rows, null);
    Tensor dx = place.activation(rows, matrix.in());
    Tensor dy = place.activation(rows, matrix.out());
    TensorArena scratch = scratch(place, rows, copies.getFirst());
    List<@Nullable Tensor> none = Arrays.asList((Tensor) null);
    return rotating(
        copies,
        weight ->
            place
                .backend()
                .matmul()
                .backward(
                    dx,
                    Accumulate.REPLACE,
                    List.of(dy),
                    none,
                    none,
                    weight,
                    List.of(Projection.Gradients.NONE),
                    scratch));
  }

  /// One layer as often as it takes for its weight to be in no cache when it is used again.
  static List<List<Projection>> copies(
      Workplace place, ModelShape.Matrix matrix, int rows, Projection.@Nullable Lora lora) {
    List<List<Projection>> copies = new ArrayList<>();
    int count = copyCount((long) weightBytes(matrix), rows);
    while (copies.size() < count) {
      copies.add(List.of(new Projection(place.nf4(matrix.out(), matrix.in()), null, lora)));
    }
    return copies;
  }

  static int copyCount(long weightBytes, int rows) {
    return rows >= MANY_ROWS ? 1 : Math.clamp(CACHE_BYTES / weightBytes, 1, MOST_COPIES);
  }

  static <T> Runnable rotating(List<T> copies, Consumer<T> use) {
    int[] next = new int[1];
    return () -> use.accept(copies.get(next[0]++ % copies.size()));
  }

  static TensorArena scratch(Workplace place, int rows, List<Projection> projections) {
    return place.arena(place.backend().matmul().scratchBytes(rows, projections));
  }

  private void adapted(String kind, String name, List<ModelShape.Matrix> matrices) {
    int rows = model.tokens();
    double elements = 0;
    double updates = 0;
    double bytes = (double) rows * matrices.getFirst().in() * activationBytes;
    for (ModelShape.Matrix matrix : matrices) {
      elements += (double) matrix.out() * matrix.in();
      updates += (double) model.rank() * (matrix.out() + matrix.in());
      bytes += weightBytes(matrix) + (double) rows * matrix.out() * activationBytes;
    }
    String shape = "M=%d %s r=%d".formatted(rows, name, model.rank());
    cases.add(
        new KernelCase(
            "nf4_" + kind + "_forward",
            shape,
            2 * rows * (elements + updates),
            bytes,
            place -> adaptedForward(place, matrices)));
    // dx through W; dx, dA and dB through the update.
    cases.add(
        new KernelCase(
            "nf4_" + kind + "_backward",
            shape,
            2 * rows * (elements + 2 * updates),
            bytes,
            place -> adaptedBackward(place, matrices)));
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

  private Runnable adaptedForward(Workplace place, List<ModelShape.Matrix> matrices) {
    int rows = model.tokens();
    long in = matrices.getFirst().in();
    long outs = matrices.stream().mapToLong(ModelShape.Matrix::out).sum();
    List<Projection> projections = projections(place, matrices);
    // As a layer lays them out: inner columns behind the input, outputs side by side.
    Tensor wide = place.activation(rows, in + ranks(matrices));
    List<Tensor> ys = columns(place.activation(rows, outs), 0, matrices, ModelShape.Matrix::out);
    List<@Nullable Tensor> inner = new ArrayList<>(columns(wide, in, matrices, _ -> model.rank()));
    TensorArena scratch = scratch(place, rows, projections);
    return () ->
        place
            .backend()
            .matmul()
            .forward(ys, inner, wide.columns(0, in), null, projections, scratch);
  }

  private long ranks(List<ModelShape.Matrix> matrices) {
    return (long) model.rank() * matrices.size();
  }

  private static List<Tensor> columns(
      Tensor buffer,
      long first,
      List<ModelShape.Matrix> matrices,
      ToLongFunction<ModelShape.Matrix> width) {
    List<Tensor> parts = new ArrayList<>();
    long column = first;
    for (ModelShape.Matrix matrix : matrices) {
      parts.add(buffer.columns(column, width.applyAsLong(matrix)));
      column += width.applyAsLong(matrix);
    }
    return parts;
  }

  private Runnable adaptedBackward(Workplace place, List<ModelShape.Matrix> matrices) {
    int rows = model.tokens();
    int in = matrices.getFirst().in();
    long outs = matrices.stream().mapToLong(ModelShape.Matrix::out).sum();
    List<Projection> projections = projections(place, matrices);
    Tensor dx = place.activation(rows, in);
    Tensor x = place.activation(rows, in);
    Tensor wide = place.activation(rows, outs + ranks(matrices));
    List<Tensor> dys = columns(wide, 0, matrices, ModelShape.Matrix::out);
    List<@Nullable Tensor> innerGradients =
        new ArrayList<>(columns(wide, outs, matrices, _ -> model.rank()));
    List<@Nullable Tensor> inner = new ArrayList<>();
    List<Projection.Gradients> gradients = new ArrayList<>();
    for (ModelShape.Matrix matrix : matrices) {
      inner.add(place.activation(rows, model.rank()));
      Tensor a = place.zeros(DType.F32, model.rank(), in);
      Tensor b = place.zeros(DType.F32, matrix.out(), model.rank());
      gradients.add(new Projection.Gradients(null, null, a, b));
    }
    TensorArena scratch = scratch(place, rows, projections);
    return () -> {
      place
          .backend()
          .matmul()
          .backward(
              dx, Accumulate.REPLACE, dys, inner, innerGradients, projections, gradients, scratch);
      place
          .backend()
          .matmul()
          .weightGradients(dys, innerGradients, x, projections, gradients, scratch);
    };
  }
}
