package dev.gatun.op;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Linear layers over dense and 4-bit weights with low-rank updates, on any backend.
public abstract class MatmulOpsContract extends OpContract {
  private static final float LORA_SCALE = 1.5f;

  /// One projection and the numbers in it.
  private record Case(
      Projection projection,
      double[] weight,
      double[] bias,
      double[] a,
      double[] b,
      int out,
      int in,
      int rank) {}

  private Case projection(int out, int in, int rank, String format, @Nullable Dropout dropout) {
    double[] matrix = values(out * in, 0.5);
    double[] bias = values(out, 1);
    Weight weight;
    switch (format) {
      case "nf4", "nf4-nested" -> {
        Quantized quantized = quantized(matrix, out, in, format.endsWith("nested"));
        weight = quantized.weight();
        matrix = quantized.values();
      }
      default -> weight = new Weight.Dense(tensor(DType.valueOf(format), matrix, out, in));
    }
    double[] a = values(rank * in, 0.5);
    double[] b = values(out * rank, 0.5);
    Projection.Lora lora =
        rank == 0
            ? null
            : new Projection.Lora(
                activation(a, rank, in), activation(b, out, rank), LORA_SCALE, dropout);
    return new Case(
        new Projection(weight, activation(bias, out), lora), matrix, bias, a, b, out, in, rank);
  }

  private static double[] forward(
      Precision p, Case c, double[] x, double @Nullable [] mask, double @Nullable [] residual) {
    int rows = x.length / c.in();
    double[] y = Oracle.matmul(p, x, false, c.weight(), true, rows, c.out(), c.in());
    for (int i = 0; i < y.length; i++) {
      y[i] = p.op(y[i] + c.bias()[i % c.out()]);
    }
    if (residual != null) {
      y = Oracle.add(p, y, residual);
    }
    if (c.rank() > 0) {
      double[] inner = inner(p, c, x, mask);
      double[] update = Oracle.matmul(p, inner, false, c.b(), true, rows, c.out(), c.rank());
      y = Oracle.add(p, y, Oracle.scaled(p, update, LORA_SCALE));
    }
    return y;
  }

  private static double[] inner(Precision p, Case c, double[] x, double @Nullable [] mask) {
    double[] dropped = mask == null ? x : product(p, x, mask);
    return p.store(
        Oracle.matmul(p, dropped, false, c.a(), true, x.length / c.in(), c.rank(), c.in()));
  }

  private static double[] product(Precision p, double[] a, double[] b) {
    double[] c = new double[a.length];
    for (int i = 0; i < a.length; i++) {
      c[i] = p.store(p.op(a[i] * b[i]));
    }
    return c;
  }

  @ParameterizedTest
  @CsvSource({
    "1, 1, 1, 0, F32", "1, 65, 63, 1, F32", "3, 7, 5, 2, BF16", "17, 65, 64, 8, F16",
    "33, 130, 63, 16, BF16", "64, 33, 300, 0, F32", "129, 257, 65, 40, BF16", "1, 33, 65, 4, nf4",
    "15, 63, 65, 0, nf4-nested", "70, 65, 130, 8, nf4-nested", "70, 130, 64, 8, nf4"
  })
  void forwardAndLoraInner(int rows, int out, int in, int rank, String format) {
    Case c = projection(out, in, rank, format, null);
    double[] x = values(rows * in, 1);
    double[] residual = values(rows * out, 1);
    List<Projection> projections = List.of(c.projection());
    Tensor y = output(rows, out);
    Tensor inner = rank == 0 ? null : output(rows, rank);
    Tensor input = strided(x, rows, in);

    try (TensorArena scratch = scratch(backend().matmul().scratchBytes(rows, projections))) {
      backend()
          .matmul()
          .forward(
              List.of(y),
              Arrays.asList(inner),
              input,
              activation(residual, rows, out),
              projections,
              scratch);
    }

    assertClose("y", y, p -> forward(p, c, x, null, residual));
    if (inner != null) {
      assertClose("inner", inner, p -> inner(p, c, x, null));
    }
  }

  // Whole blocks of 64 in aligned rows, as models have them: few rows are multiplied with the
  // packed
  // weight itself, in one range of columns or several. Twice, as sums over ranges must not depend
  // on
  // which was ready first.
  @ParameterizedTest
  @CsvSource({
    "1, 130, 448, 16, nf4-nested", "7, 33, 64, 8, nf4", "8, 515, 256, 0, nf4-nested",
    "9, 40, 4160, 8, nf4-nested", "1, 40, 4160, 16, nf4", "16, 65, 192, 4, nf4",
    "33, 48, 320, 16, nf4-nested", "64, 33, 256, 8, nf4", "65, 33, 128, 8, nf4-nested"
  })
  void fewAlignedRows(int rows, int out, int in, int rank, String format) {
    Case c = projection(out, in, rank, format, null);
    double[] x = values(rows * in, 1);
    double[] residual = values(rows * out, 1);
    List<Projection> projections = List.of(c.projection());
    Tensor input = alignedStrided(x, rows, in);
    Tensor inner = rank == 0 ? null : output(rows, rank);
    List<double[]> results = new ArrayList<>();
    Tensor y = activation(residual, rows, out);

    try (TensorArena scratch = scratch(backend().matmul().scratchBytes(rows, projections))) {
      for (int i = 0; i < 2; i++) {
        y = activation(residual, rows, out);
        backend()
            .matmul()
            .forward(List.of(y), Arrays.asList(inner), input, y, projections, scratch);
        results.add(download(y));
      }
    }

    assertClose("y", y, p -> forward(p, c, x, null, residual));
    assertThat(results.get(1)).containsExactly(results.get(0));
  }

  @Test
  void severalProjectionsShareAnInputAndWriteColumnsOfOneMatrix() {
    int rows = 19;
    int in = 65;
    List<Case> cases = new ArrayList<>();
    for (int out : new int[] {24, 7, 33}) {
      cases.add(projection(out, in, out == 7 ? 0 : 4, "nf4-nested", null));
    }
    double[] x = values(rows * in, 1);
    Tensor whole = output(rows, 64);
    List<Tensor> ys = List.of(whole.columns(0, 24), whole.columns(24, 7), whole.columns(31, 33));
    List<Projection> projections = cases.stream().map(Case::projection).toList();

    try (TensorArena scratch = scratch(backend().matmul().scratchBytes(rows, projections))) {
      backend()
          .matmul()
          .forward(
              ys,
              Arrays.asList(output(rows, 4), null, output(rows, 4)),
              activation(x, rows, in),
              null,
              projections,
              scratch);
    }

    for (int i = 0; i < cases.size(); i++) {
      Case c = cases.get(i);
      assertClose("y" + i, ys.get(i), p -> forward(p, c, x, null, null));
    }
  }

  // As layers lay them out: inner columns behind x, outputs and their gradients side by side with
  // inner gradients behind them, factors of the updates and their gradients below each other.
  @ParameterizedTest
  @CsvSource({"300, 64, 8", "70, 128, 16", "33, 64, 4", "40, 72, 8"})
  void operandsSideBySideGiveTheSame(int rows, int in, int rank) {
    int[] outs = {64, 24, 40};
    List<Case> cases = new ArrayList<>();
    Tensor stackedA = activation(new double[3 * rank * in], 3 * rank, in);
    for (int i = 0; i < 3; i++) {
      Case c = projection(outs[i], in, rank, "nf4-nested", null);
      Tensor a = stackedA.rows((long) i * rank, rank);
      Projection.Lora lora = c.projection().lora();
      backend().tensor().copy(a, lora.a());
      Projection.Lora moved = new Projection.Lora(a, lora.b(), lora.scale(), null);
      cases.add(
          new Case(
              new Projection(c.projection().weight(), c.projection().bias(), moved),
              c.weight(),
              c.bias(),
              c.a(),
              c.b(),
              c.out(),
              in,
              rank));
    }
    double[] x = values(rows * in, 1);
    double[] dy = values(rows * 128, 1);
    Tensor input = output(rows, in + 3 * rank);
    backend().tensor().copy(input.columns(0, in), activation(x, rows, in));
    Tensor ys = output(rows, 128);
    Tensor dys = output(rows, 128 + 3 * rank);
    backend().tensor().copy(dys.columns(0, 128), activation(dy, rows, 128));
    Tensor dx = output(rows, in);
    Tensor da = filled(3 * rank * in, 0.5, 3 * rank, in);
    List<Tensor> outputs = new ArrayList<>();
    List<Tensor> gradients = new ArrayList<>();
    List<@Nullable Tensor> inner = new ArrayList<>();
    List<@Nullable Tensor> innerGradients = new ArrayList<>();
    List<Projection.Gradients> wanted = new ArrayList<>();
    int column = 0;
    for (int i = 0; i < 3; i++) {
      outputs.add(ys.columns(column, outs[i]));
      gradients.add(dys.columns(column, outs[i]));
      inner.add(input.columns(in + (long) i * rank, rank));
      innerGradients.add(dys.columns(128 + (long) i * rank, rank));
      Tensor db = filled(outs[i] * rank, 0.5, outs[i], rank);
      wanted.add(new Projection.Gradients(null, null, da.rows((long) i * rank, rank), db));
      column += outs[i];
    }
    List<Projection> projections = cases.stream().map(Case::projection).toList();

    try (TensorArena scratch = scratch(backend().matmul().scratchBytes(rows, projections))) {
      MatmulOps ops = backend().matmul();
      ops.forward(outputs, inner, input.columns(0, in), null, projections, scratch);
      ops.backward(
          dx, Accumulate.REPLACE, gradients, inner, innerGradients, projections, wanted, scratch);
      ops.weightGradients(
          gradients, innerGradients, input.columns(0, in), projections, wanted, scratch);
    }

    List<double[]> parts = new ArrayList<>();
    column = 0;
    for (int i = 0; i < 3; i++) {
      Case c = cases.get(i);
      double[] own = columns(dy, rows, 128, column, outs[i]);
      parts.add(own);
      assertClose("y" + i, outputs.get(i), p -> forward(p, c, x, null, null));
      assertClose("dInner" + i, innerGradients.get(i), p -> dInner(p, c, own, rows));
      assertClose("dA" + i, wanted.get(i).a(), p -> aGradient(p, c, own, x, null, rows));
      assertClose("dB" + i, wanted.get(i).b(), p -> bGradient(p, c, own, x, null, rows));
      column += outs[i];
    }
    assertClose(
        "dx",
        dx,
        p -> {
          double[] sum = inputGradient(p, cases.get(0), parts.get(0), rows, null);
          for (int i = 1; i < 3; i++) {
            sum = Oracle.add(p, sum, inputGradient(p, cases.get(i), parts.get(i), rows, null));
          }
          return sum;
        });
  }

  @Test
  void theResidualMayBeTheOutput() {
    Case c = projection(65, 33, 4, "F32", null);
    double[] x = values(20 * 33, 1);
    double[] residual = values(20 * 65, 1);
    Tensor y = activation(residual, 20, 65);
    List<Projection> projections = List.of(c.projection());

    try (TensorArena scratch = scratch(backend().matmul().scratchBytes(20, projections))) {
      backend()
          .matmul()
          .forward(
              List.of(y), List.of(output(20, 4)), activation(x, 20, 33), y, projections, scratch);
    }

    assertClose("y", y, p -> forward(p, c, x, null, residual));
  }

  @Test
  void dropoutFollowsTheGenerator() {
    Case c = projection(33, 65, 8, "BF16", dropout());
    double[] x = values(21 * 65, 1);
    double[] mask = mask(x.length);
    Tensor y = output(21, 33);
    List<Projection> projections = List.of(c.projection());

    try (TensorArena scratch = scratch(backend().matmul().scratchBytes(21, projections))) {
      backend()
          .matmul()
          .forward(
              List.of(y), List.of(output(21, 8)), strided(x, 21, 65), null, projections, scratch);
    }

    assertClose("y", y, p -> forward(p, c, x, mask, null));
    checkBackward(c, 21, Accumulate.ADD, mask);
  }

  @ParameterizedTest
  @CsvSource({
    "1, 1, 1, 1, F32, REPLACE", "5, 7, 3, 2, BF16, ADD", "33, 65, 63, 8, nf4, REPLACE",
    "65, 64, 65, 8, nf4-nested, ADD", "130, 33, 257, 16, F32, REPLACE", "300, 17, 20, 0, F32, ADD"
  })
  void backward(int rows, int out, int in, int rank, String format, Accumulate accumulate) {
    checkBackward(projection(out, in, rank, format, null), rows, accumulate, null);
  }

  private void checkBackward(Case c, int rows, Accumulate accumulate, double @Nullable [] mask) {
    double[] x = values(rows * c.in(), 1);
    double[] dy = values(rows * c.out(), 1);
    double[] before = values(rows * c.in(), 1);
    boolean lora = c.rank() > 0;
    double[] gradient = {0.5};
    Projection.Gradients gradients =
        new Projection.Gradients(
            filled(c.out() * c.in(), gradient[0], c.out(), c.in()),
            filled(c.out(), gradient[0], c.out()),
            lora ? filled(c.rank() * c.in(), gradient[0], c.rank(), c.in()) : null,
            lora ? filled(c.out() * c.rank(), gradient[0], c.out(), c.rank()) : null);
    Tensor dx =
        accumulate == Accumulate.ADD ? activation(before, rows, c.in()) : output(rows, c.in());
    Tensor input = strided(x, rows, c.in());
    Tensor inner = lora ? output(rows, c.rank()) : null;
    Tensor innerGradient = lora ? output(rows, c.rank()) : null;
    List<Projection> projections = List.of(c.projection());
    List<Tensor> dys = List.of(strided(dy, rows, c.out()));

    try (TensorArena scratch = scratch(backend().matmul().scratchBytes(rows, projections))) {
      backend()
          .matmul()
          .forward(
              List.of(output(rows, c.out())),
              Arrays.asList(inner),
              input,
              null,
              projections,
              scratch);
      backend()
          .matmul()
          .backward(
              dx,
              accumulate,
              dys,
              Arrays.asList(inner),
              Arrays.asList(innerGradient),
              projections,
              List.of(gradients),
              scratch);
      backend()
          .matmul()
          .weightGradients(
              dys, Arrays.asList(innerGradient), input, projections, List.of(gradients), scratch);
    }
    if (innerGradient != null) {
      assertClose("dInner", innerGradient, p -> dInner(p, c, dy, rows));
    }

    assertClose(
        "dx",
        dx,
        p -> {
          double[] sum = inputGradient(p, c, dy, rows, mask);
          return accumulate == Accumulate.ADD ? Oracle.add(p, sum, before) : sum;
        });
    assertClose(
        "dW",
        gradients.weight(),
        p -> plus(p, Oracle.matmul(p, dy, true, x, false, c.out(), c.in(), rows), 0.5));
    assertClose(
        "dbias", gradients.bias(), p -> plus(p, Oracle.columnSums(p, dy, rows, c.out()), 0.5));
    if (lora) {
      assertClose("dA", gradients.a(), p -> aGradient(p, c, dy, x, mask, rows));
      assertClose("dB", gradients.b(), p -> bGradient(p, c, dy, x, mask, rows));
    }
  }

  private Tensor filled(int count, double value, long... shape) {
    double[] values = new double[count];
    Arrays.fill(values, value);
    return f32(values, shape);
  }

  private static double[] plus(Precision p, double[] a, double value) {
    double[] constant = new double[a.length];
    Arrays.fill(constant, value);
    return Oracle.add(p, a, constant);
  }

  private static double[] dInner(Precision p, Case c, double[] dy, int rows) {
    return p.store(
        Oracle.scaled(
            p, Oracle.matmul(p, dy, false, c.b(), false, rows, c.rank(), c.out()), LORA_SCALE));
  }

  private static double[] inputGradient(
      Precision p, Case c, double[] dy, int rows, double @Nullable [] mask) {
    double[] dx = Oracle.matmul(p, dy, false, c.weight(), false, rows, c.in(), c.out());
    if (c.rank() == 0) {
      return dx;
    }
    double[] part =
        Oracle.matmul(p, dInner(p, c, dy, rows), false, c.a(), false, rows, c.in(), c.rank());
    return Oracle.add(p, dx, mask == null ? part : product(p, part, mask));
  }

  private static double[] aGradient(
      Precision p, Case c, double[] dy, double[] x, double @Nullable [] mask, int rows) {
    double[] dropped = mask == null ? x : product(p, x, mask);
    return plus(
        p,
        Oracle.matmul(p, dInner(p, c, dy, rows), true, dropped, false, c.rank(), c.in(), rows),
        0.5);
  }

  private static double[] bGradient(
      Precision p, Case c, double[] dy, double[] x, double @Nullable [] mask, int rows) {
    double[] db = Oracle.matmul(p, dy, true, inner(p, c, x, mask), false, c.out(), c.rank(), rows);
    return plus(p, Oracle.scaled(p, db, LORA_SCALE), 0.5);
  }

  @Test
  void frozenParametersNeedNoInner() {
    Case c = projection(33, 17, 4, "F32", null);
    double[] dy = values(9 * 33, 1);
    Tensor dx = output(9, 17);
    List<Projection> projections = List.of(c.projection());

    try (TensorArena scratch = scratch(backend().matmul().scratchBytes(9, projections))) {
      backend()
          .matmul()
          .backward(
              dx,
              Accumulate.REPLACE,
              List.of(activation(dy, 9, 33)),
              Arrays.asList((Tensor) null),
              Arrays.asList(output(9, 4)),
              projections,
              List.of(Projection.Gradients.NONE),
              scratch);
    }

    assertClose("dx", dx, p -> inputGradient(p, c, dy, 9, null));
  }

  @ParameterizedTest
  @CsvSource({"1, 300, 65, nf4", "2, 65, 130, BF16", "40, 130, 33, nf4-nested"})
  void logits(int rows, int out, int in, String format) {
    Case c = projection(out, in, 0, format, null);
    double[] x = values(rows * in, 1);
    Tensor logits = spoiled(DType.F32, rows, out);
    List<Projection> projections = List.of(c.projection());

    try (TensorArena scratch = scratch(backend().matmul().scratchBytes(rows, projections))) {
      backend()
          .matmul()
          .logits(
              logits,
              activation(x, rows, in),
              c.projection().weight(),
              c.projection().bias(),
              null,
              scratch);
    }

    assertClose("logits", logits, p -> forward(p, c, x, null, null));
  }

  @Test
  void theSameInputGivesTheSameBits() {
    Case c = projection(130, 257, 16, "nf4-nested", null);
    Tensor x = activation(values(200 * 257, 1), 200, 257);
    List<Projection> projections = List.of(c.projection());
    List<double[]> results = new ArrayList<>();
    try (TensorArena scratch = scratch(backend().matmul().scratchBytes(200, projections))) {
      for (int i = 0; i < 3; i++) {
        Tensor y = output(200, 130);
        backend()
            .matmul()
            .forward(List.of(y), List.of(output(200, 16)), x, null, projections, scratch);
        results.add(download(y));
      }
    }

    assertThat(results.get(1)).containsExactly(results.get(0));
    assertThat(results.get(2)).containsExactly(results.get(0));
  }
}
