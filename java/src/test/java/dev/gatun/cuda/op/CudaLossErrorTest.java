package dev.gatun.cuda.op;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.nn.Options;
import dev.gatun.op.LossOps;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.Bf16;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestReporter;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Error of the loss's gradients against double precision, relative in the L2 norm, at sizes of
/// real models: with data that have no structure, and with labels whose logit lies 6 to 14 above
/// the others. Two roundings to bfloat16 cannot be avoided where products take such operands: that
/// of the logits' gradient and that of the result; the loss may add next to nothing to them.
@Tag("gpu")
class CudaLossErrorTest {
  private static final double ABOVE_UNAVOIDABLE = 1.05;

  /// Rows that are computed in double precision where there are more; the head's gradient needs
  /// all.
  private static final int FEW = 512;

  private static final int SAMPLE = 16;

  @RegisterExtension private static final Gpu gpu = new Gpu();

  @ParameterizedTest
  @CsvSource({
    "512, 1024, 32000, false", "512, 1024, 32000, true",
    "8192, 4096, 128256, false", "8192, 4096, 128256, true"
  })
  void gradientsAreAsNearAsBfloat16Allows(
      int rows, int hidden, int vocabulary, boolean peaked, TestReporter reporter) {
    Data data = Data.of(rows, hidden, vocabulary, peaked);
    boolean whole = rows <= FEW;
    int count = whole ? rows : SAMPLE;
    int[] picked = IntStream.range(0, count).map(i -> i * (rows / count)).toArray();
    double[][] dz = parallel(count, i -> data.dz(picked[i]));
    double[][] rounded = parallel(count, i -> rounded(dz[i]));
    double[][] dhidden = parallel(count, i -> data.dhidden(dz[i]));
    double[][] roundedHidden = parallel(count, i -> rounded(data.dhidden(rounded[i])));

    Gradients actual = gradients(data, whole);

    double[][] actualHidden = parallel(count, i -> row(actual.hidden(), picked[i]));
    check("hidden states", data, peaked, actualHidden, roundedHidden, dhidden, reporter);
    if (actual.head() != null) {
      double[][] dhead = parallel(vocabulary, v -> data.dhead(dz, v));
      double[][] roundedHead = parallel(vocabulary, v -> data.dhead(rounded, v));
      double[][] actualHead = parallel(vocabulary, v -> row(actual.head(), v));
      check("head", data, peaked, actualHead, roundedHead, dhead, reporter);
    }
  }

  private static void check(
      String what,
      Data data,
      boolean peaked,
      double[][] actual,
      double[][] rounded,
      double[][] exact,
      TestReporter reporter) {
    double error = error(actual, exact);
    double unavoidable = error(rounded, exact);
    String gradient =
        "gradient of the %s, %dx%dx%d, %s"
            .formatted(
                what,
                data.labels().length,
                data.width(),
                data.vocabulary(),
                peaked ? "peaked" : "flat");
    reporter.publishEntry(
        gradient, "relative L2 error %.3g, unavoidable %.3g".formatted(error, unavoidable));
    assertThat(error).as(gradient).isLessThan(ABOVE_UNAVOIDABLE * unavoidable);
  }

  private record Gradients(Tensor hidden, @Nullable Tensor head) {}

  private static Gradients gradients(Data data, boolean trainedHead) {
    long rows = data.labels().length;
    long head = (long) data.vocabulary() * data.width();
    long bytes = 2 * head + (trainedHead ? 4 * head : 0) + 4 * rows * data.width() + (1 << 20);
    try (TensorArena arena = gpu.backend().arena("operands", bytes)) {
      Tensor states = upload(arena, data.hidden(), rows, data.width());
      Weight weight = new Weight.Dense(upload(arena, data.head(), data.vocabulary(), data.width()));
      LossOps.Config config = LossOps.Config.plain(Options.lossChunkRows(data.vocabulary()));
      LossOps.Outputs outputs =
          new LossOps.Outputs(arena.allocate(DType.F32, Shape.of(rows)), null, null);
      Tensor dhead =
          trainedHead ? arena.allocate(DType.F32, Shape.of(data.vocabulary(), data.width())) : null;
      if (dhead != null) {
        gpu.backend().tensor().zero(dhead);
      }
      Tensor upstream = arena.allocate(DType.F32, Shape.of(1));
      gpu.backend().upload(upstream, Tensor.ofFloats(Shape.of(1), 1));
      Tensor dhidden = arena.allocate(DType.BF16, states.shape());
      LossOps.Targets targets =
          new LossOps.Targets(
              ints(arena, IntStream.range(0, data.labels().length).toArray()),
              ints(arena, data.labels()));
      try (TensorArena scratch =
          gpu.backend().arena("scratch", gpu.backend().loss().scratchBytes(rows, weight, config))) {
        gpu.backend()
            .loss()
            .linearCrossEntropy(
                outputs,
                new LossOps.Gradients(dhidden, dhead, null, upstream),
                states,
                weight,
                null,
                targets,
                config,
                scratch);
      }
      return new Gradients(
          gpu.backend().download(dhidden), dhead == null ? null : gpu.backend().download(dhead));
    }
  }

  private static Tensor upload(TensorArena arena, short[][] values, long rows, long cols) {
    Tensor tensor = arena.allocate(DType.BF16, Shape.of(rows, cols));
    try (Arena host = Arena.ofConfined()) {
      MemorySegment segment = host.allocate(tensor.shape().count() * Short.BYTES, 16);
      for (int r = 0; r < values.length; r++) {
        MemorySegment row = MemorySegment.ofArray(values[r]);
        MemorySegment.copy(row, 0, segment, r * row.byteSize(), row.byteSize());
      }
      gpu.backend().upload(tensor, segment);
    }
    return tensor;
  }

  private static Tensor ints(TensorArena arena, int[] values) {
    Tensor tensor = arena.allocate(DType.I32, Shape.of(values.length));
    gpu.backend().upload(tensor, Tensor.ofInts(tensor.shape(), values));
    return tensor;
  }

  private static double[][] parallel(int count, IntFunction<double[]> row) {
    return IntStream.range(0, count).parallel().mapToObj(row).toArray(double[][]::new);
  }

  private static double[] row(Tensor matrix, int row) {
    float[] floats = matrix.rows(row, 1).toFloats();
    return IntStream.range(0, floats.length).mapToDouble(j -> floats[j]).toArray();
  }

  private static double[] rounded(double[] values) {
    return Arrays.stream(values).map(value -> Bf16.round((float) value)).toArray();
  }

  private static double error(double[][] actual, double[][] exact) {
    double off = 0;
    double norm = 0;
    for (int i = 0; i < exact.length; i++) {
      for (int j = 0; j < exact[i].length; j++) {
        double difference = actual[i][j] - exact[i][j];
        off += difference * difference;
        norm += exact[i][j] * exact[i][j];
      }
    }
    return Math.sqrt(off / norm);
  }

  private static void add(double[] sum, double factor, short[] row) {
    for (int j = 0; j < sum.length; j++) {
      sum[j] += factor * Bf16.toFloat(row[j]);
    }
  }

  /// Hidden states and head in bfloat16, as rows.
  private record Data(short[][] hidden, short[][] head, int[] labels, int width) {
    static Data of(int rows, int width, int vocabulary, boolean peaked) {
      short[][] head = new short[vocabulary][];
      IntStream.range(0, vocabulary)
          .parallel()
          .forEach(v -> head[v] = gaussians(new SplittableRandom(1_000_000 + v), width, 0.02));
      short[][] hidden = new short[rows][];
      int[] labels = new int[rows];
      for (int t = 0; t < rows; t++) {
        SplittableRandom random = new SplittableRandom(t);
        labels[t] = random.nextInt(vocabulary);
        hidden[t] = gaussians(random, width, 1);
        if (peaked) {
          raise(hidden[t], head[labels[t]], 6 + 8 * random.nextDouble());
        }
      }
      return new Data(hidden, head, labels, width);
    }

    private static short[] gaussians(SplittableRandom random, int count, double scale) {
      short[] values = new short[count];
      for (int i = 0; i < count; i++) {
        values[i] = Bf16.of((float) (scale * random.nextGaussian()));
      }
      return values;
    }

    private static void raise(short[] state, short[] direction, double logit) {
      double norm = dot(direction, direction);
      for (int j = 0; j < state.length; j++) {
        double moved = Bf16.toFloat(state[j]) + logit / norm * Bf16.toFloat(direction[j]);
        state[j] = Bf16.of((float) moved);
      }
    }

    private static double dot(short[] a, short[] b) {
      double sum = 0;
      for (int j = 0; j < a.length; j++) {
        sum += (double) Bf16.toFloat(a[j]) * Bf16.toFloat(b[j]);
      }
      return sum;
    }

    int vocabulary() {
      return head.length;
    }

    double[] dz(int row) {
      double[] z = new double[head.length];
      double largest = Double.NEGATIVE_INFINITY;
      for (int v = 0; v < z.length; v++) {
        z[v] = dot(hidden[row], head[v]);
        largest = Math.max(largest, z[v]);
      }
      double sum = 0;
      for (int v = 0; v < z.length; v++) {
        z[v] = Math.exp(z[v] - largest);
        sum += z[v];
      }
      for (int v = 0; v < z.length; v++) {
        z[v] = z[v] / sum - (v == labels[row] ? 1 : 0);
      }
      return z;
    }

    double[] dhidden(double[] dz) {
      double[] sum = new double[width];
      for (int v = 0; v < dz.length; v++) {
        add(sum, dz[v], head[v]);
      }
      return sum;
    }

    double[] dhead(double[][] dz, int token) {
      double[] sum = new double[width];
      for (int t = 0; t < dz.length; t++) {
        add(sum, dz[t][token], hidden[t]);
      }
      return sum;
    }
  }
}
