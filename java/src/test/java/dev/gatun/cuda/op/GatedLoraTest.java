package dev.gatun.cuda.op;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gatun.Tolerances;
import dev.gatun.op.GatedUpdates;
import dev.gatun.op.MlpOps.Activation;
import dev.gatun.op.Projection;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.Bf16;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// The gated activation's backward with its narrow products against sums in double precision, by
/// the error rule of the op contracts. Operands lie as a layer lays them: gate and up with room for
/// both inner gradients in one buffer.
@Tag("gpu")
class GatedLoraTest {
  private static final float SCALE = 1.5f;
  private static final float GRADIENT = 0.5f;
  private static final int GAP = 8;

  @RegisterExtension private static final Gpu gpu = new Gpu();

  /// 257 rows are two tiles and one row; 24 is less than the kernel's 32; 5000 rows are several
  /// panels for a block.
  @ParameterizedTest
  @CsvSource({
    "257, 64, 8, SILU",
    "1000, 192, 16, GELU",
    "4096, 1024, 16, SILU",
    "600, 256, 24, GELU_TANH",
    "5000, 128, 32, SILU"
  })
  void everyResultIsNearTheExactOneAndTheSameTwice(
      int rows, int wide, int rank, Activation activation) {
    Case sample = new Case(rows, wide, rank);
    Exact exact = new Exact(sample, activation, false);
    Exact naive = new Exact(sample, activation, true);
    List<float[]> first = run(sample, activation);
    List<float[]> second = run(sample, activation);

    for (int i = 0; i < first.size(); i++) {
      String name = Exact.NAMES.get(i);
      assertThat(Arrays.equals(first.get(i), second.get(i))).as(name + ", again").isTrue();
      double[] expected = exact.results().get(i);
      double[] rounded = naive.results().get(i);
      double error = 0;
      double largest = 0;
      for (int j = 0; j < expected.length; j++) {
        error = Math.max(error, Math.abs(expected[j] - rounded[j]));
        largest = Math.max(largest, Math.abs(expected[j]));
      }
      DType type = i < 4 ? DType.BF16 : DType.F32;
      double bound =
          Tolerances.NAIVE_ERROR_FACTOR * error
              + Tolerances.OUTPUT_ROUNDINGS * Tolerances.unitRoundoff(type) * largest;
      for (int j = 0; j < expected.length; j++) {
        assertThat((double) first.get(i)[j])
            .as("%s at %d", name, j)
            .isCloseTo(expected[j], within(bound));
      }
    }
  }

  /// Random operands.
  private static final class Case {
    private final int rows;
    private final int wide;
    private final int rank;
    private final float[] gate;
    private final float[] up;
    private final float[] dh;
    private final float[] gateB;
    private final float[] upB;
    private final float[] gateInner;
    private final float[] upInner;
    private final float[] down;

    Case(int rows, int wide, int rank) {
      this.rows = rows;
      this.wide = wide;
      this.rank = rank;
      Random random = new Random(20250613);
      gate = values(random, rows * wide);
      up = values(random, rows * wide);
      dh = values(random, rows * wide);
      gateB = values(random, wide * rank);
      upB = values(random, wide * rank);
      gateInner = values(random, rows * rank);
      upInner = values(random, rows * rank);
      down = values(random, rows * rank);
    }

    private static float[] values(Random random, int count) {
      float[] values = new float[count];
      for (int i = 0; i < count; i++) {
        values[i] = Bf16.round((float) random.nextGaussian());
      }
      return values;
    }
  }

  /// What should come out, with `dgate`, `dup` and `h` rounded on the way or not.
  private record Exact(List<double[]> results) {
    static final List<String> NAMES =
        List.of("dgate", "dup", "dInner gate", "dInner up", "dB gate", "dB up", "dA down");

    Exact(Case c, Activation activation, boolean rounded) {
      this(results(c, activation, rounded));
    }

    private static List<double[]> results(Case c, Activation activation, boolean rounded) {
      double[] dgate = new double[c.gate.length];
      double[] dup = new double[c.gate.length];
      double[] h = new double[c.gate.length];
      for (int i = 0; i < dgate.length; i++) {
        double value = value(activation, c.gate[i]);
        dgate[i] = c.dh[i] * c.up[i] * slope(activation, c.gate[i]);
        dup[i] = c.dh[i] * value;
        h[i] = value * c.up[i];
        if (rounded) {
          dgate[i] = Bf16.round((float) dgate[i]);
          dup[i] = Bf16.round((float) dup[i]);
          h[i] = Bf16.round((float) h[i]);
        }
      }
      return List.of(
          dgate,
          dup,
          rowProduct(c, dgate, c.gateB),
          rowProduct(c, dup, c.upB),
          columnProduct(c, dgate, c.gateInner, SCALE),
          columnProduct(c, dup, c.upInner, SCALE),
          transposed(columnProduct(c, h, c.down, 1), c.wide, c.rank));
    }

    private static double value(Activation activation, double x) {
      return switch (activation) {
        case SILU -> x / (1 + Math.exp(-x));
        case GELU_TANH -> 0.5 * x * (1 + Math.tanh(inner(x)));
        case GELU -> x * normal(x);
      };
    }

    // By a central difference: independent of any derivative that is written down.
    private static double slope(Activation activation, double x) {
      double step = 1e-5;
      return (value(activation, x + step) - value(activation, x - step)) / (2 * step);
    }

    private static double inner(double x) {
      return Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x);
    }

    // Φ(x) = 1/2 + φ(x)·(x + x³/3 + x⁵/15 + …).
    private static double normal(double x) {
      double term = x;
      double sum = x;
      for (int n = 3; Math.abs(term) > 1e-17; n += 2) {
        term *= x * x / n;
        sum += term;
      }
      return 0.5 + sum * Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
    }

    private static double[] rowProduct(Case c, double[] x, float[] b) {
      double[] result = new double[c.rows * c.rank];
      for (int t = 0; t < c.rows; t++) {
        for (int w = 0; w < c.wide; w++) {
          for (int r = 0; r < c.rank; r++) {
            result[t * c.rank + r] += SCALE * x[t * c.wide + w] * b[w * c.rank + r];
          }
        }
      }
      return result;
    }

    private static double[] columnProduct(Case c, double[] x, float[] narrow, double scale) {
      double[] result = new double[c.wide * c.rank];
      Arrays.fill(result, GRADIENT);
      for (int t = 0; t < c.rows; t++) {
        for (int w = 0; w < c.wide; w++) {
          for (int r = 0; r < c.rank; r++) {
            result[w * c.rank + r] += scale * x[t * c.wide + w] * narrow[t * c.rank + r];
          }
        }
      }
      return result;
    }

    private static double[] transposed(double[] x, int rows, int cols) {
      double[] result = new double[x.length];
      for (int i = 0; i < x.length; i++) {
        result[i % cols * rows + i / cols] = x[i];
      }
      return result;
    }
  }

  private static List<float[]> run(Case c, Activation activation) {
    try (TensorArena arena = gpu.backend().arena("operands", 256L << 20);
        TensorArena scratch =
            gpu.backend()
                .arena(
                    "scratch", gpu.backend().mlp().updatesScratchBytes(c.rows, c.wide, c.rank))) {
      float[] buffer = new float[c.rows * (2 * c.wide + 2 * c.rank)];
      int stride = 2 * c.wide + 2 * c.rank;
      Arrays.fill(buffer, 1e30f);
      for (int t = 0; t < c.rows; t++) {
        System.arraycopy(c.gate, t * c.wide, buffer, t * stride, c.wide);
        System.arraycopy(c.up, t * c.wide, buffer, t * stride + c.wide, c.wide);
      }
      Tensor whole = upload(arena, DType.BF16, buffer, c.rows, stride);
      Tensor gate = whole.columns(0, c.wide);
      Tensor up = whole.columns(c.wide, c.wide);
      GatedUpdates.Side gateSide =
          side(arena, c, c.gateB, c.gateInner, whole.columns(2 * c.wide, c.rank));
      GatedUpdates.Side upSide =
          side(arena, c, c.upB, c.upInner, whole.columns(2 * c.wide + c.rank, c.rank));
      Tensor downA = gradient(arena, c.rank, c.wide);
      GatedUpdates updates =
          new GatedUpdates(gateSide, upSide, strided(arena, c.down, c.rows, c.rank), downA);
      Tensor dh = strided(arena, c.dh, c.rows, c.wide);

      assertThat(
              gpu.backend().mlp().backwardWithUpdates(gate, up, dh, activation, updates, scratch))
          .isTrue();

      assertThat(scratch.mark()).isZero();
      float[] left = gpu.backend().download(whole).toFloats();
      return List.of(
          columns(left, stride, 0, c.wide),
          columns(left, stride, c.wide, c.wide),
          columns(left, stride, 2 * c.wide, c.rank),
          columns(left, stride, 2 * c.wide + c.rank, c.rank),
          gpu.backend().download(gateSide.b()).toFloats(),
          gpu.backend().download(upSide.b()).toFloats(),
          gpu.backend().download(downA).toFloats());
    }
  }

  private static GatedUpdates.Side side(
      TensorArena arena, Case c, float[] b, float[] inner, Tensor innerGradient) {
    Tensor a = arena.allocate(DType.BF16, Shape.of(c.rank, GAP)); // no part of it
    return new GatedUpdates.Side(
        new Projection.Lora(a, upload(arena, DType.BF16, b, c.wide, c.rank), SCALE, null),
        strided(arena, inner, c.rows, c.rank),
        innerGradient,
        gradient(arena, c.wide, c.rank));
  }

  private static Tensor gradient(TensorArena arena, int rows, int cols) {
    float[] start = new float[rows * cols];
    Arrays.fill(start, GRADIENT);
    return upload(arena, DType.F32, start, rows, cols);
  }

  private static Tensor strided(TensorArena arena, float[] x, int rows, int cols) {
    float[] wider = new float[rows * (cols + GAP)];
    Arrays.fill(wider, 1e30f);
    for (int t = 0; t < rows; t++) {
      System.arraycopy(x, t * cols, wider, t * (cols + GAP), cols);
    }
    return upload(arena, DType.BF16, wider, rows, cols + GAP).columns(0, cols);
  }

  private static Tensor upload(TensorArena arena, DType type, float[] x, int rows, int cols) {
    Tensor tensor = arena.allocate(type, Shape.of(rows, cols));
    gpu.backend().upload(tensor, Tensor.ofRounded(type, tensor.shape(), x));
    return tensor;
  }

  private static float[] columns(float[] whole, int stride, int from, int cols) {
    int rows = whole.length / stride;
    float[] part = new float[rows * cols];
    for (int t = 0; t < rows; t++) {
      System.arraycopy(whole, t * stride + from, part, t * cols, cols);
    }
    return part;
  }
}
