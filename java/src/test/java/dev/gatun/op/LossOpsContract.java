package dev.gatun.op;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Output head and cross-entropy on any backend.
public abstract class LossOpsContract extends OpContract {
  private static final float UPSTREAM = 0.125f;

  @ParameterizedTest
  @CsvSource({
    "1, 1, 1, 2, 1, 0, 0, 8, F32", "40, 23, 17, 65, 1, 0, 0, 8, F32",
    "70, 33, 64, 257, 0.5, 0, 0.1, 64, BF16", "30, 29, 63, 131, 2, 3, 0, 7, nf4",
    "50, 20, 65, 300, 1.5, 2, 0.2, 1, F16", "9, 9, 8, 1030, 1, 0, 0, 100, nf4-nested",
    "20, 13, 16, 5003, 1, 0, 0.1, 8, F32", "20, 13, 24, 4096, 1.5, 30, 0, 64, BF16",
    "30, 20, 16, 700, 6, 0, 0, 8, F32"
  })
  void lossAndGradients(
      int tokens,
      int trained,
      int h,
      int v,
      float scale,
      float softcap,
      float smoothing,
      int chunk,
      String format) {
    double[] hidden = values(tokens * h, 1);
    double[] bias = values(v, 0.5);
    double[] matrix = values(v * h, 0.5);
    Weight head;
    if (format.startsWith("nf4")) {
      Quantized quantized = quantized(matrix, v, h, format.endsWith("nested"));
      head = quantized.weight();
      matrix = quantized.values();
    } else {
      head = new Weight.Dense(tensor(DType.valueOf(format), matrix, v, h));
    }
    double[] weights = matrix;
    // Spread over the batch, ascending.
    int[] rows = IntStream.range(0, trained).map(i -> i * tokens / trained).toArray();
    int[] labels = ints(trained, v);
    LossOps.Config config = new LossOps.Config(scale, softcap, smoothing, chunk);
    LossOps.Outputs outputs = outputs(trained);
    LossOps.HeadRows last = new LossOps.HeadRows(v - 1, f32(new double[h], 1, h));
    LossOps.HeadRows half = new LossOps.HeadRows(v / 3, f32(new double[v / 2 * h], v / 2, h));
    LossOps.Gradients gradients =
        new LossOps.Gradients(
            output(tokens, h),
            f32(new double[v * h], v, h),
            f32(new double[v], v),
            f32(new double[] {UPSTREAM}, 1),
            List.of(last, half));

    try (TensorArena scratch = scratch(backend().loss().scratchBytes(trained, head, config))) {
      backend()
          .loss()
          .linearCrossEntropy(
              outputs,
              gradients,
              strided(hidden, tokens, h),
              head,
              activation(bias, v),
              new LossOps.Targets(ints(rows), ints(labels)),
              config,
              scratch);
    }

    double[] picked = pick(hidden, rows, h);
    LossOracle exact = oracle(Precision.EXACT, picked, weights, bias, labels, config);
    LossOracle naive =
        oracle(Precision.of(activationType()), picked, weights, bias, labels, config);
    Function<Precision, LossOracle> at = p -> p == Precision.EXACT ? exact : naive;
    assertClose("loss", outputs.tokenLoss(), p -> at.apply(p).tokenLoss());
    assertClose("entropy", outputs.entropy(), p -> at.apply(p).entropy());
    assertClose("dhidden", gradients.hidden(), p -> spread(at.apply(p).dhidden(), rows, tokens, h));
    assertClose("dhead", gradients.head(), p -> at.apply(p).dhead());
    for (LossOps.HeadRows part : gradients.headRows()) {
      int from = Math.toIntExact(part.first()) * h;
      int to = from + Math.toIntExact(part.gradient().rows()) * h;
      assertClose(
          "dhead from row " + part.first(),
          part.gradient(),
          p -> Arrays.copyOfRange(at.apply(p).dhead(), from, to));
    }
    assertClose("dbias", gradients.bias(), p -> at.apply(p).dbias());
  }

  /// So many logits that a backend may have them slice by slice.
  @Test
  void manyRowsOfALargeVocabulary() {
    lossAndGradients(900, 850, 8, 10_001, 1, 0, 0, 1024, "BF16");
  }

  /// A bias of minus infinity forbids a token, one far below the others makes it as good as
  /// impossible: neither has a gradient, whatever rounds on the way.
  @ParameterizedTest
  @CsvSource({"300, 0", "4096, 0", "2500, 60"})
  void aForbiddenToken(int v, float softcap) {
    int tokens = 20;
    int h = 24;
    double[] hidden = values(tokens * h, 1);
    double[] matrix = values(v * h, 0.5);
    double[] bias = values(v, 0.5);
    int forbidden = v / 2;
    int impossible = v - 3;
    bias[forbidden] = Double.NEGATIVE_INFINITY;
    bias[impossible] = softcap > 0 ? Double.NEGATIVE_INFINITY : -500;
    int[] rows = IntStream.range(0, tokens).toArray();
    int[] labels = Arrays.stream(ints(tokens, v)).map(l -> l < v / 2 ? l : 0).toArray();
    LossOps.Config config = new LossOps.Config(1, softcap, softcap > 0 ? 0.1f : 0, 8);
    Weight head = new Weight.Dense(activation(matrix, v, h));
    LossOps.Outputs outputs = outputs(tokens);
    LossOps.Gradients gradients =
        new LossOps.Gradients(
            output(tokens, h),
            f32(new double[v * h], v, h),
            f32(new double[v], v),
            f32(new double[] {UPSTREAM}, 1));

    try (TensorArena scratch = scratch(backend().loss().scratchBytes(tokens, head, config))) {
      backend()
          .loss()
          .linearCrossEntropy(
              outputs,
              gradients,
              activation(hidden, tokens, h),
              head,
              activation(bias, v),
              new LossOps.Targets(ints(rows), ints(labels)),
              config,
              scratch);
    }

    double[] dhead = download(gradients.head());
    double[] dbias = download(gradients.bias());
    if (softcap == 0) {
      for (int token : new int[] {forbidden, impossible}) {
        assertThat(Arrays.copyOfRange(dhead, token * h, (token + 1) * h)).containsOnly(0);
        assertThat(dbias[token]).isZero();
      }
      assertThat(Arrays.stream(download(outputs.entropy())).allMatch(Double::isFinite)).isTrue();
    }
    LossOracle exact = oracle(Precision.EXACT, hidden, matrix, bias, labels, config);
    LossOracle naive = oracle(Precision.of(activationType()), hidden, matrix, bias, labels, config);
    Function<Precision, LossOracle> at = p -> p == Precision.EXACT ? exact : naive;
    assertClose("loss", outputs.tokenLoss(), p -> at.apply(p).tokenLoss());
    assertClose("dhidden", gradients.hidden(), p -> at.apply(p).dhidden());
    assertClose("dhead", gradients.head(), p -> at.apply(p).dhead());
  }

  /// An update is nothing but more columns of the hidden states and of the head.
  @ParameterizedTest
  @CsvSource({"30, 21, 16, 65, 3, 8", "70, 40, 64, 2100, 8, 16", "20, 20, 33, 300, 16, 100"})
  void anUpdateOfTheHead(int tokens, int trained, int h, int v, int rank, int chunk) {
    float scale = 0.5f;
    double[] hidden = values(tokens * h, 1);
    double[] inner = values(tokens * rank, 1);
    double[] matrix = values(v * h, 0.5);
    double[] b = values(v * rank, 0.5);
    int[] rows = IntStream.range(0, trained).map(i -> i * tokens / trained).toArray();
    int[] labels = ints(trained, v);
    LossOps.Config config = new LossOps.Config(1, 0, 0.1f, chunk);
    Weight head = new Weight.Dense(activation(matrix, v, h));
    LossOps.Gradients gradients =
        new LossOps.Gradients(
            output(tokens, h), f32(new double[v * h], v, h), null, f32(new double[] {UPSTREAM}, 1));
    LossOps.Update update =
        new LossOps.Update(
            new LowRankTerm(alignedStrided(inner, tokens, rank), activation(b, v, rank), scale),
            output(tokens, rank),
            f32(new double[v * rank], v, rank));
    LossOps.Outputs trainedOutputs = outputs(trained);
    LossOps.Outputs evaluated = outputs(trained);
    LossOps.Targets targets = new LossOps.Targets(ints(rows), ints(labels));
    Tensor states = strided(hidden, tokens, h);
    long bytes = backend().loss().scratchBytes(trained, head, rank, config);

    try (TensorArena scratch = scratch(bytes)) {
      LossOps ops = backend().loss();
      ops.linearCrossEntropy(
          trainedOutputs, gradients, states, head, null, update, targets, config, scratch);
      ops.linearCrossEntropy(
          evaluated,
          null,
          states,
          head,
          null,
          new LossOps.Update(update.term(), null, null),
          targets,
          config,
          scratch);
    }

    double[] states64 = pick(joined(hidden, h, inner, rank, 1), rows, h + rank);
    double[] weights = joined(matrix, h, b, rank, scale);
    double[] none = new double[v];
    LossOracle exact = oracle(Precision.EXACT, states64, weights, none, labels, config);
    LossOracle naive =
        oracle(Precision.of(activationType()), states64, weights, none, labels, config);
    Function<Precision, LossOracle> at = p -> p == Precision.EXACT ? exact : naive;
    assertSame(
        "loss with and without gradients", trainedOutputs.tokenLoss(), evaluated.tokenLoss());
    assertClose("loss", trainedOutputs.tokenLoss(), p -> at.apply(p).tokenLoss());
    assertClose(
        "dhidden",
        gradients.hidden(),
        p -> spread(part(at.apply(p).dhidden(), h + rank, 0, h), rows, tokens, h));
    assertClose(
        "dinner",
        update.innerGradient(),
        p -> spread(part(at.apply(p).dhidden(), h + rank, h, rank), rows, tokens, rank));
    assertClose("dhead", gradients.head(), p -> part(at.apply(p).dhead(), h + rank, 0, h));
    assertClose(
        "db",
        update.b(),
        p -> Oracle.scaled(p, part(at.apply(p).dhead(), h + rank, h, rank), scale));
  }

  @ParameterizedTest
  @CsvSource({"1, 300, 8", "5, 65, 3", "40, 130, 16"})
  void logitsWithAnUpdate(int rows, int out, int rank) {
    int in = 40;
    double[] x = values(rows * in, 1);
    double[] matrix = values(out * in, 0.5);
    double[] inner = values(rows * rank, 1);
    double[] b = values(out * rank, 0.5);
    Tensor logits = spoiled(DType.F32, rows, out);
    Weight head = new Weight.Dense(activation(matrix, out, in));
    LowRankTerm term =
        new LowRankTerm(alignedStrided(inner, rows, rank), activation(b, out, rank), 0.5f);
    List<Projection> projections = List.of(new Projection(head, null, null));

    try (TensorArena scratch = scratch(backend().matmul().scratchBytes(rows, projections))) {
      backend().matmul().logits(logits, activation(x, rows, in), head, null, term, scratch);
    }

    assertClose(
        "logits",
        logits,
        p ->
            Oracle.matmul(
                p,
                joined(x, in, inner, rank, 1),
                false,
                joined(matrix, in, b, rank, 0.5),
                true,
                rows,
                out,
                in + rank));
  }

  /// `[a | scale·b]`.
  private static double[] joined(double[] a, int aCols, double[] b, int bCols, double scale) {
    int rows = a.length / aCols;
    double[] wide = new double[rows * (aCols + bCols)];
    for (int r = 0; r < rows; r++) {
      System.arraycopy(a, r * aCols, wide, r * (aCols + bCols), aCols);
      for (int c = 0; c < bCols; c++) {
        wide[r * (aCols + bCols) + aCols + c] = scale * b[r * bCols + c];
      }
    }
    return wide;
  }

  private static double[] part(double[] matrix, int cols, int first, int count) {
    return columns(matrix, matrix.length / cols, cols, first, count);
  }

  private static LossOracle oracle(
      Precision p,
      double[] hidden,
      double[] head,
      double[] bias,
      int[] labels,
      LossOps.Config config) {
    return LossOracle.of(p, hidden, head, bias, labels, config, UPSTREAM);
  }

  private LossOps.Outputs outputs(int trained) {
    return new LossOps.Outputs(
        spoiled(DType.F32, trained),
        arena().allocate(DType.I32, Shape.of(trained)),
        spoiled(DType.F32, trained));
  }

  private static double[] pick(double[] x, int[] rows, int width) {
    double[] picked = new double[rows.length * width];
    for (int i = 0; i < rows.length; i++) {
      System.arraycopy(x, rows[i] * width, picked, i * width, width);
    }
    return picked;
  }

  private static double[] spread(double[] x, int[] rows, int tokens, int width) {
    double[] all = new double[tokens * width];
    for (int i = 0; i < rows.length; i++) {
      System.arraycopy(x, i * width, all, rows[i] * width, width);
    }
    return all;
  }

  @Test
  void frozenHeadsAndEvaluation() {
    double[] hidden = values(6 * 5, 1);
    double[] head = values(9 * 5, 1);
    int[] labels = ints(6, 9);
    Tensor states = activation(hidden, 6, 5);
    Weight weight = new Weight.Dense(activation(head, 9, 5));
    LossOps.Targets targets =
        new LossOps.Targets(ints(IntStream.range(0, 6).toArray()), ints(labels));
    LossOps.Outputs evaluated = outputs(6);
    LossOps.Outputs trained = new LossOps.Outputs(spoiled(DType.F32, 6), null, null);
    LossOps.Gradients gradients =
        new LossOps.Gradients(output(6, 5), null, null, f32(new double[] {UPSTREAM}, 1));
    LossOps.Config config = LossOps.Config.plain(4);

    try (TensorArena scratch = scratch(backend().loss().scratchBytes(6, weight, config))) {
      LossOps ops = backend().loss();
      ops.linearCrossEntropy(evaluated, null, states, weight, null, targets, config, scratch);
      ops.linearCrossEntropy(trained, gradients, states, weight, null, targets, config, scratch);
    }

    double[] none = new double[9];
    assertSame("loss with and without gradients", trained.tokenLoss(), evaluated.tokenLoss());
    assertClose(
        "dhidden",
        gradients.hidden(),
        p -> oracle(p, hidden, head, none, labels, config).dhidden());
    double[] z = Oracle.matmul(Precision.EXACT, hidden, false, head, true, 6, 9, 5);
    int[] correct =
        IntStream.range(0, 6)
            .map(t ->
                IntStream.range(0, 9).allMatch(j -> z[t * 9 + j] <= z[t * 9 + labels[t]]) ? 1 : 0)
            .toArray();
    assertThat(downloadInts(evaluated.correct())).containsExactly(correct);
  }

  @Test
  void withoutTargetsTheGradientIsZero() {
    LossOps.Gradients gradients =
        new LossOps.Gradients(output(4, 3), null, null, f32(new double[] {UPSTREAM}, 1));
    LossOps.Config config = LossOps.Config.plain(4);
    Weight head = new Weight.Dense(activation(values(21, 1), 7, 3));

    try (TensorArena scratch = scratch(backend().loss().scratchBytes(0, head, config))) {
      backend()
          .loss()
          .linearCrossEntropy(
              new LossOps.Outputs(arena().allocate(DType.F32, Shape.of(0)), null, null),
              gradients,
              activation(values(12, 1), 4, 3),
              head,
              null,
              new LossOps.Targets(ints(new int[0]), ints(new int[0])),
              config,
              scratch);
    }

    assertThat(download(gradients.hidden())).containsOnly(0.0);
  }
}
