package dev.gatun.op;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import dev.gatun.Tolerances;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.Bf16;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.Objects;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

/// What the contracts of the op families share. A contract runs on any backend: subclasses supply
/// one. Inputs are values that bfloat16 represents, so that every backend sees the same numbers.
public abstract class OpContract {
  private static final long ARENA_BYTES = 32L << 20;
  private static final long SEED = 20250613;

  private Random random = new Random(SEED);
  private TensorArena arena;

  protected abstract Backend backend();

  @BeforeEach
  void openArena() {
    random = new Random(SEED);
    arena = backend().arena("contract", ARENA_BYTES);
  }

  @AfterEach
  void closeArena() {
    arena.close();
  }

  TensorArena arena() {
    return arena;
  }

  DType activationType() {
    return backend().activationType();
  }

  /// A scratch arena of exactly the size that an op asked for, full of NaN: what an op reads of it
  /// before it wrote there shows.
  TensorArena scratch(long bytes) {
    TensorArena scratch = backend().arena("scratch", bytes);
    long mark = scratch.mark();
    Tensor all = scratch.allocate(DType.U8, Shape.of(bytes));
    try (Arena host = Arena.ofConfined()) {
      backend().upload(all, host.allocate(bytes).fill((byte) 0xFF));
    }
    scratch.release(mark);
    return scratch;
  }

  /// Normal values times `scale`, rounded to bfloat16.
  double[] values(int count, double scale) {
    double[] values = new double[count];
    for (int i = 0; i < count; i++) {
      values[i] = Bf16.round((float) (random.nextGaussian() * scale));
    }
    return values;
  }

  int[] ints(int count, int bound) {
    return random.ints(count, 0, bound).toArray();
  }

  Tensor f32(double[] values, long... shape) {
    return tensor(DType.F32, values, shape);
  }

  /// A tensor of the activation type.
  Tensor activation(double[] values, long... shape) {
    return tensor(activationType(), values, shape);
  }

  Tensor tensor(DType dtype, double[] values, long... shape) {
    float[] floats = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      floats[i] = (float) values[i];
    }
    Tensor host = Tensor.ofFloats(Shape.of(shape), floats);
    Tensor raw = arena.allocate(DType.F32, host.shape());
    backend().upload(raw, host);
    if (dtype == DType.F32) {
      return raw;
    }
    Tensor rounded = arena.allocate(dtype, host.shape());
    backend().tensor().copy(rounded, raw);
    return rounded;
  }

  /// A matrix of the activation type whose rows lie in a wider matrix, filled with a value that
  /// spoils every result it gets into.
  Tensor strided(double[] values, int rows, int cols) {
    return strided(values, rows, cols, 3, 4);
  }

  /// As above with rows that start at multiples of 16 bytes, which kernels with wide loads need, if
  /// `cols` is a multiple of 8.
  Tensor alignedStrided(double[] values, int rows, int cols) {
    return strided(values, rows, cols, 8, 16);
  }

  private Tensor strided(double[] values, int rows, int cols, int before, int after) {
    int stride = before + cols + after;
    double[] wide = new double[rows * stride];
    Arrays.fill(wide, 1e30);
    Tensor whole = activation(wide, rows, stride);
    Tensor view = whole.columns(before, cols);
    backend().tensor().copy(view, activation(values, rows, cols));
    return view;
  }

  /// An activation full of NaN: what an op forgets to write shows.
  Tensor output(long... shape) {
    return spoiled(activationType(), shape);
  }

  Tensor spoiled(DType dtype, long... shape) {
    double[] values = new double[Math.toIntExact(Shape.of(shape).count())];
    Arrays.fill(values, Double.NaN);
    return tensor(dtype, values, shape);
  }

  Tensor ints(int[] values) {
    Tensor tensor = arena.allocate(DType.I32, Shape.of(values.length));
    backend().upload(tensor, Tensor.ofInts(Shape.of(values.length), values));
    return tensor;
  }

  /// A 4-bit weight and the matrix that it stands for, in the type that the backend computes in.
  record Quantized(Weight.Nf4 weight, double[] values) {}

  Quantized quantized(double[] matrix, int out, int in, boolean nested) {
    Weight.Nf4 empty = new Nf4Layout(out, in, 64, nested, DType.BF16).allocate(arena);
    Weight.Nf4 weight =
        backend().quant().quantize(empty, tensor(DType.BF16, matrix, out, in), arena);
    Tensor dense = arena.allocate(activationType(), Shape.of(out, in));
    backend().quant().dequantize(dense, weight);
    return new Quantized(weight, download(dense));
  }

  double[] download(Tensor tensor) {
    Tensor source = tensor;
    if (!tensor.isContiguous()) {
      source = arena.allocate(tensor.dtype(), tensor.shape());
      backend().tensor().copy(source, tensor);
    }
    float[] floats = backend().download(source).toFloats();
    double[] values = new double[floats.length];
    for (int i = 0; i < floats.length; i++) {
      values[i] = floats[i];
    }
    return values;
  }

  int[] downloadInts(@Nullable Tensor tensor) {
    return backend().download(Objects.requireNonNull(tensor)).toInts();
  }

  /// A computation that can be run at any precision.
  @FunctionalInterface
  interface Computation {
    double[] at(Precision precision);
  }

  /// Requires that `actual` is about as near to the exact result as a naive computation is.
  void assertClose(String what, @Nullable Tensor actual, Computation oracle) {
    assertClose(what, actual, oracle, 0);
  }

  /// As above where terms cancel.
  ///
  /// @param magnitude the largest term that goes into an element: its roundings stay
  void assertClose(String what, @Nullable Tensor actual, Computation oracle, double magnitude) {
    Tensor tensor = Objects.requireNonNull(actual, what);
    double[] exact = oracle.at(Precision.EXACT);
    double[] naive = oracle.at(Precision.of(activationType()));
    double scale = magnitude;
    double naiveError = 0;
    for (int i = 0; i < exact.length; i++) {
      scale = Math.max(scale, Math.abs(exact[i]));
      naiveError = Math.max(naiveError, Math.abs(naive[i] - exact[i]));
    }
    double bound =
        Tolerances.NAIVE_ERROR_FACTOR * naiveError
            + Tolerances.OUTPUT_ROUNDINGS * Tolerances.unitRoundoff(tensor.dtype()) * scale;
    assertWithin(what, download(tensor), exact, bound);
  }

  static void assertWithin(String what, double[] actual, double[] expected, double bound) {
    assertThat(actual).as(what).hasSameSizeAs(expected);
    int worst = 0;
    double most = -1;
    for (int i = 0; i < expected.length; i++) {
      double error = Math.abs(actual[i] - expected[i]);
      if (error > most || Double.isNaN(error)) {
        worst = i;
        most = Double.isNaN(error) ? Double.POSITIVE_INFINITY : error;
      }
    }
    if (most > bound) {
      fail(
          "%s: worst at %d: expected %s, got %s, off by %.3g = %.1f ulp of F32, bound %.3g (seed %d)"
              .formatted(
                  what,
                  worst,
                  expected[worst],
                  actual[worst],
                  most,
                  most / Math.ulp((float) expected[worst]),
                  bound,
                  SEED));
    }
  }

  /// Requires the same bits.
  void assertSame(String what, Tensor actual, Tensor expected) {
    assertThat(download(actual)).as(what).isEqualTo(download(expected));
  }

  /// Dropout of a quarter of the elements.
  protected final Dropout dropout() {
    Tensor state = arena().allocate(DType.I64, Shape.of(2));
    backend().upload(state, Tensor.ofLongs(Shape.of(2), 0x1234_5678_9ABC_DEFL, 3));
    return new Dropout(0.25f, 11, state);
  }

  // The mask as the generator's documentation says.
  protected static double[] mask(int count) {
    double[] mask = new double[count];
    int[] words = new int[4];
    for (int i = 0; i < count; i++) {
      Philox.block(words, 0x1234_5678_9ABC_DEFL, 3, 11, i >> 2);
      mask[i] =
          Philox.survives(words[i & 3], Philox.threshold(0.25f)) ? Philox.keepScale(0.25f) : 0;
    }
    return mask;
  }

  /// Columns of a row-major matrix.
  protected static double[] columns(double[] matrix, int rows, int cols, int first, int count) {
    double[] part = new double[rows * count];
    for (int r = 0; r < rows; r++) {
      System.arraycopy(matrix, r * cols + first, part, r * count, count);
    }
    return part;
  }
}
