package dev.gatun.cuda.op;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import dev.gatun.Tolerances;
import dev.gatun.op.Backend;
import dev.gatun.op.Normalized;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.Bf16;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// The narrow products against sums in double precision, by the error rule of the op contracts.
/// Every operand and result lies in a wider matrix, whose other columns spoil what they get into
/// and must stay as they are.
@Tag("gpu")
class LoraProductsTest {
  private static final long SEED = 20250613;
  private static final int BEFORE = 8;
  private static final int AFTER = 16;
  private static final float SPOIL = 1e30f;
  private static final float SCALE = 1.5f;
  private static final float GRADIENT = 0.5f;
  private static final float OFFSET = 1;

  private static Backend backend;
  private static Launcher launcher;
  private static LoraProducts products;

  @BeforeAll
  static void open() {
    CudaBackend cuda = (CudaBackend) Gpu.open();
    backend = cuda;
    launcher = new Launcher(cuda.context(), cuda.stream());
    products = new LoraProducts(launcher);
  }

  @AfterAll
  static void close() {
    if (backend != null) {
      launcher.close();
      backend.close();
    }
  }

  /// 70,000 rows are several panels for each block, and all columns in one; 192 columns are one and
  /// a half tiles.
  @ParameterizedTest
  @CsvSource({
    "257, 64, 8",
    "1000, 192, 24",
    "8192, 4096, 16",
    "300, 4096, 48",
    "1000, 64, 64",
    "8192, 192, 40",
    "70000, 64, 8",
    "70000, 64, 64"
  })
  void everyProductIsNearTheExactSumAndTheSameTwice(int rows, int wide, int rank) {
    Random random = new Random(SEED);
    float[] x = values(random, rows * wide);
    float[] a = values(random, rank * wide);
    float[] inner = values(random, rows * rank);
    float[] b = transposed(a, rank, wide);
    try (TensorArena arena = backend.arena("operands", 512L << 20);
        TensorArena scratch =
            backend.arena(
                "scratch",
                LoraProducts.scratchBytes(rows, wide, rank)
                    + TensorArena.sizeOf(DType.BF16, (long) rows * rank))) {
      Tensor xs = within(arena, x, rows, wide);
      Tensor as = within(arena, a, rank, wide);
      Tensor bs = within(arena, b, wide, rank);
      Tensor inners = within(arena, inner, rows, rank);
      assertThat(LoraProducts.suits(rank, xs, as, bs, inners)).isTrue();
      Expected plainRows = rowProduct(x, a, rows, wide, rank, 1);
      Expected scaledRows = rowProduct(x, a, rows, wide, rank, SCALE);
      Expected dA = columnProduct(x, inner, rows, wide, rank, 1);
      Expected dB = columnProduct(x, inner, rows, wide, rank, SCALE).transposed(rank, wide);

      Result result = new Result(arena, DType.BF16, rows, rank, Float.NaN);
      result.check("inner", plainRows, () -> products.inner(result.view(), xs, as, scratch));
      result.check(
          "dInner alone",
          scaledRows,
          () -> products.backwardB(result.view(), null, xs, bs, null, SCALE, scratch));
      Result gradientB = new Result(arena, DType.F32, wide, rank, GRADIENT);
      gradientB.check(
          "dB alone",
          dB,
          () -> products.backwardB(null, gradientB.view(), xs, bs, inners, SCALE, scratch));
      result.reset();
      gradientB.check(
          "dB",
          dB,
          () ->
              products.backwardB(result.view(), gradientB.view(), xs, bs, inners, SCALE, scratch));
      result.compare("dInner", scaledRows);
      Result gradientA = new Result(arena, DType.F32, rank, wide, GRADIENT);
      gradientA.check("dA", dA, () -> products.gradientA(gradientA.view(), inners, xs, scratch));
      float[] rstd = positive(random, rows);
      float[] weight = values(random, wide);
      Normalized normalized =
          new Normalized(xs, vector(arena, rstd), vector(arena, weight), OFFSET);
      gradientA.check(
          "dA of a normalised input",
          normalizedProduct(x, rstd, weight, inner, rank),
          () -> products.gradientA(gradientA.view(), inners, normalized, scratch));
      assertThat(scratch.mark()).isZero();
    }
  }

  private static float[] positive(Random random, int count) {
    float[] result = new float[count];
    for (int i = 0; i < count; i++) {
      result[i] = 0.25f + random.nextFloat();
    }
    return result;
  }

  private static Tensor vector(TensorArena arena, float[] values) {
    Tensor tensor = arena.allocate(DType.F32, Shape.of(values.length));
    backend.upload(tensor, Tensor.ofFloats(tensor.shape(), values));
    return tensor;
  }

  /// Exact, and as it comes out where the normalised input is rounded on the way, as usual.
  private static Expected normalizedProduct(
      float[] x, float[] rstd, float[] weight, float[] inner, int rank) {
    float[] exact = new float[x.length];
    float[] rounded = new float[x.length];
    for (int i = 0; i < x.length; i++) {
      exact[i] = x[i] * rstd[i / weight.length] * (OFFSET + weight[i % weight.length]);
      rounded[i] = Bf16.round(exact[i]);
    }
    Expected expected = columnProduct(exact, inner, rstd.length, weight.length, rank, 1);
    Expected naive = columnProduct(rounded, inner, rstd.length, weight.length, rank, 1);
    double error = expected.naiveError();
    for (int i = 0; i < expected.exact().length; i++) {
      error = Math.max(error, Math.abs(naive.exact()[i] - expected.exact()[i]));
    }
    return new Expected(expected.exact(), error);
  }

  /// A result within a wider matrix.
  private static final class Result {
    private final int rows;
    private final int cols;
    private final float[] before;
    private final Tensor whole;
    private final DType dtype;

    Result(TensorArena arena, DType dtype, int rows, int cols, float initial) {
      this.rows = rows;
      this.cols = cols;
      this.dtype = dtype;
      before = new float[rows * cols];
      Arrays.fill(before, initial);
      whole = arena.allocate(dtype, Shape.of(rows, BEFORE + cols + AFTER));
    }

    Tensor view() {
      return whole.columns(BEFORE, cols);
    }

    void reset() {
      backend.upload(whole, Tensor.ofRounded(dtype, whole.shape(), spread(before, rows, cols)));
    }

    void check(String what, Expected expected, Runnable work) {
      reset();
      work.run();
      compare(what, expected);
      float[] first = backend.download(whole).toFloats();
      reset();
      work.run();
      assertThat(Arrays.equals(backend.download(whole).toFloats(), first))
          .as("%s, the same bits again", what)
          .isTrue();
    }

    void compare(String what, Expected expected) {
      float[] all = backend.download(whole).toFloats();
      float gap = dtype == DType.BF16 ? Bf16.round(SPOIL) : SPOIL;
      double bound = expected.bound(dtype);
      int stride = BEFORE + cols + AFTER;
      for (int i = 0; i < all.length; i++) {
        int row = i / stride;
        int col = i % stride - BEFORE;
        boolean inside = col >= 0 && col < cols;
        double wanted = inside ? expected.exact()[row * cols + col] : gap;
        if (!(Math.abs(all[i] - wanted) <= (inside ? bound : 0))) {
          fail(
              "%s[%d, %d]: expected %s, got %s, bound %.3g, seed %d"
                  .formatted(what, row, col, wanted, all[i], inside ? bound : 0, SEED));
        }
      }
    }
  }

  /// The exact result and how far a naive F32 computation is off.
  private record Expected(double[] exact, double naiveError) {
    double bound(DType dtype) {
      double largest = Arrays.stream(exact).map(Math::abs).max().orElse(0);
      return Tolerances.NAIVE_ERROR_FACTOR * naiveError
          + Tolerances.OUTPUT_ROUNDINGS * Tolerances.unitRoundoff(dtype) * largest;
    }

    Expected transposed(int rows, int cols) {
      double[] other = new double[exact.length];
      for (int i = 0; i < exact.length; i++) {
        other[i % cols * rows + i / cols] = exact[i];
      }
      return new Expected(other, naiveError);
    }
  }

  /// `scale · x [rows, wide] · a [rank, wide]ᵀ`.
  private static Expected rowProduct(
      float[] x, float[] a, int rows, int wide, int rank, float scale) {
    double[] exact = new double[rows * rank];
    double error = 0;
    for (int i = 0; i < exact.length; i++) {
      int row = i / rank * wide;
      int column = i % rank * wide;
      double sum = 0;
      float naive = 0;
      for (int w = 0; w < wide; w++) {
        sum += (double) x[row + w] * a[column + w];
        naive += x[row + w] * a[column + w];
      }
      exact[i] = scale * sum;
      error = Math.max(error, Math.abs(Bf16.round(scale * naive) - exact[i]));
    }
    return new Expected(exact, error);
  }

  /// `0.5 + scale · narrow [rows, rank]ᵀ · x [rows, wide]`.
  private static Expected columnProduct(
      float[] x, float[] narrow, int rows, int wide, int rank, float scale) {
    double[] exact = new double[rank * wide];
    float[] naive = new float[rank * wide];
    for (int t = 0; t < rows; t++) {
      for (int r = 0; r < rank; r++) {
        float factor = narrow[t * rank + r];
        for (int w = 0; w < wide; w++) {
          exact[r * wide + w] += (double) factor * x[t * wide + w];
          naive[r * wide + w] += factor * x[t * wide + w];
        }
      }
    }
    double error = 0;
    for (int i = 0; i < exact.length; i++) {
      exact[i] = GRADIENT + scale * exact[i];
      error = Math.max(error, Math.abs(GRADIENT + scale * naive[i] - exact[i]));
    }
    return new Expected(exact, error);
  }

  private static float[] values(Random random, int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = Bf16.round((float) random.nextGaussian());
    }
    return values;
  }

  private static float[] transposed(float[] matrix, int rows, int cols) {
    float[] other = new float[matrix.length];
    for (int i = 0; i < matrix.length; i++) {
      other[i % cols * rows + i / cols] = matrix[i];
    }
    return other;
  }

  /// The rows with spoiling columns around them.
  private static float[] spread(float[] values, int rows, int cols) {
    int stride = BEFORE + cols + AFTER;
    float[] wide = new float[rows * stride];
    Arrays.fill(wide, SPOIL);
    for (int row = 0; row < rows; row++) {
      System.arraycopy(values, row * cols, wide, row * stride + BEFORE, cols);
    }
    return wide;
  }

  private static Tensor within(TensorArena arena, float[] values, int rows, int cols) {
    Tensor whole = arena.allocate(DType.BF16, Shape.of(rows, BEFORE + cols + AFTER));
    backend.upload(whole, Tensor.ofRounded(DType.BF16, whole.shape(), spread(values, rows, cols)));
    return whole.columns(BEFORE, cols);
  }
}
