package dev.gatun.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.FailureException;
import dev.gatun.cuda.Device;
import dev.gatun.cuda.DevicePtr;
import dev.gatun.kernels.AdamWUpdate;
import dev.gatun.kernels.CrossEntropy;
import dev.gatun.kernels.GatunKernels;
import dev.gatun.kernels.Linear;
import dev.gatun.kernels.LinearBackward;
import dev.gatun.kernels.Lora;
import dev.gatun.kernels.Matrix;
import dev.gatun.kernels.Nf4Matrix;
import dev.gatun.kernels.Vector;
import dev.gatun.op.OptimizerOps;
import dev.gatun.quant.Nf4Codec;
import dev.gatun.tensor.Bf16;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import jcuda.Pointer;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.JCudaDriver;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/// Context, stream and memory are JCuda's; results are compared with double precision on the host.
/// Bounds are those of the roundings that the kernels document: `EPS` is half a unit of BF16's last
/// place, relative.
@Tag("gpu")
class JCudaKernelsTest {
  private static final double EPS = 0x1p-8;
  private static final double F32_SUM = 1e-5; // accumulation in F32, relative to the terms' sizes
  private static final int ROWS = 40;
  private static final int IN = 256;
  private static final int OUT = 192;
  private static final int RANK = 8;
  private static final float SCALE = 2;

  private final Random random = new Random(11);
  private final CUcontext context = new CUcontext();
  private final JCudaStream stream = new JCudaStream();
  private final List<JCudaMemory> memory = new ArrayList<>();
  private boolean opened;

  @BeforeEach
  void open() {
    try {
      assertThat(Device.list()).isNotEmpty();
    } catch (FailureException e) {
      Assumptions.abort(e.getMessage());
    }
    JCudaDriver.setExceptionsEnabled(true);
    JCudaDriver.cuInit(0);
    CUdevice device = new CUdevice();
    JCudaDriver.cuDeviceGet(device, 0);
    JCudaDriver.cuCtxCreate(context, 0, device);
    opened = true;
    JCudaDriver.cuStreamCreate(stream, 1);
  }

  @AfterEach
  void close() {
    if (opened) {
      memory.forEach(JCudaDriver::cuMemFree);
      JCudaDriver.cuStreamDestroy(stream);
      JCudaDriver.cuCtxDestroy(context);
    }
  }

  @Test
  void theReadmesExampleMultipliesAsTheHostDoes() {
    Weight weight = new Weight();
    double[] x = gaussian(ROWS * IN, 1);
    JCudaMemory y = allocate(2L * ROWS * OUT);

    KernelsExample.project(
        stream, bf16(x), weight.packed, weight.absmax, y, new KernelsExample.Sizes(ROWS, OUT, IN));

    Sum expected = product(x, weight.values, ROWS, OUT, IN, 1, IN, IN, 1);
    assertClose("y", readBf16(y, ROWS * OUT), expected, EPS, EPS);
  }

  @Test
  void aLinearLayerWithALowRankUpdateAndItsGradients() {
    Weight weight = new Weight();
    double[] x = gaussian(ROWS * IN, 1);
    double[] dy = gaussian(ROWS * OUT, 1);
    double[] a = gaussian(RANK * IN, 0.1);
    double[] b = gaussian(OUT * RANK, 0.1);
    JCudaMemory y = allocate(2L * ROWS * OUT);
    JCudaMemory inner = allocate(2L * ROWS * RANK);
    JCudaMemory dx = allocate(2L * ROWS * IN);
    JCudaMemory da = zeros(4L * RANK * IN);
    JCudaMemory db = zeros(4L * OUT * RANK);
    try (GatunKernels kernels = GatunKernels.adopt(stream.handle())) {
      Linear layer =
          new Linear(
                  Matrix.bf16(y.pointer(), ROWS, OUT),
                  Matrix.bf16(bf16(x).pointer(), ROWS, IN),
                  weight.matrix())
              .withLora(
                  new Lora(
                      Matrix.bf16(bf16(a).pointer(), RANK, IN),
                      Matrix.bf16(bf16(b).pointer(), OUT, RANK),
                      SCALE),
                  Matrix.bf16(inner.pointer(), ROWS, RANK));
      kernels.reserveScratch(kernels.scratchBytes(layer));
      kernels.linear(layer);
      kernels.linearBackward(
          new LinearBackward(layer, Matrix.bf16(bf16(dy).pointer(), ROWS, OUT))
              .withDx(Matrix.bf16(dx.pointer(), ROWS, IN))
              .withLora(Matrix.f32(da.pointer(), RANK, IN), Matrix.f32(db.pointer(), OUT, RANK)));
    }
    Sum xa = product(x, a, ROWS, RANK, IN, 1, IN, IN, 1);
    Sum dyb = product(dy, b, ROWS, RANK, OUT, 1, OUT, 1, RANK).times(SCALE);
    // Both are rounded to BF16 on the way, and the second term of y and dx after the first.
    Sum base = product(x, weight.values, ROWS, OUT, IN, 1, IN, IN, 1);
    Sum update = product(xa.values, b, ROWS, OUT, RANK, 1, RANK, RANK, 1).times(SCALE);
    assertClose("y", readBf16(y, ROWS * OUT), base.plus(update), 2 * EPS, 2 * EPS);
    assertClose("inner", readBf16(inner, ROWS * RANK), xa, EPS, EPS);
    Sum through = product(dy, weight.values, ROWS, IN, OUT, 1, OUT, 1, IN);
    Sum around = product(dyb.values, a, ROWS, IN, RANK, 1, RANK, 1, IN);
    assertClose("dx", readBf16(dx, ROWS * IN), through.plus(around), 2 * EPS, 2 * EPS);
    Sum wantedA = product(dyb.values, x, RANK, IN, ROWS, RANK, 1, 1, IN);
    assertClose("dA", readF32(da, RANK * IN), wantedA, 0, EPS);
    Sum wantedB = product(dy, xa.values, OUT, RANK, ROWS, OUT, 1, 1, RANK).times(SCALE);
    assertClose("dB", readF32(db, OUT * RANK), wantedB, 0, EPS);
  }

  @Test
  void fusedCrossEntropyAndItsGradient() {
    int vocabulary = 500;
    int hiddenSize = 128;
    int[] rows = {1, 4, 5, 17, 39};
    int[] labels = {0, 499, 77, 3, 250};
    double[] hidden = gaussian(ROWS * hiddenSize, 1);
    double[] head = gaussian(vocabulary * hiddenSize, 0.1);
    JCudaMemory loss = allocate(4L * rows.length);
    JCudaMemory dhidden = allocate(2L * ROWS * hiddenSize);
    try (GatunKernels kernels = GatunKernels.adopt(stream.handle())) {
      CrossEntropy call =
          new CrossEntropy(
                  Matrix.bf16(bf16(hidden).pointer(), ROWS, hiddenSize),
                  Matrix.bf16(bf16(head).pointer(), vocabulary, hiddenSize),
                  Vector.i32(ints(rows).pointer(), rows.length),
                  Vector.i32(ints(labels).pointer(), rows.length),
                  Vector.f32(loss.pointer(), rows.length))
              .withGradients(
                  new CrossEntropy.Gradients(
                      Matrix.bf16(dhidden.pointer(), ROWS, hiddenSize),
                      null,
                      Vector.f32(f32(new double[] {1.0 / rows.length}).pointer(), 1)));
      kernels.reserveScratch(kernels.scratchBytes(call));
      kernels.crossEntropy(call);
    }
    double[] losses = readF32(loss, rows.length);
    double[] gradient = readBf16(dhidden, ROWS * hiddenSize);
    double[] expected = new double[ROWS * hiddenSize];
    double[] size = new double[ROWS * hiddenSize];
    for (int i = 0; i < rows.length; i++) {
      double[] z = new double[vocabulary];
      double sum = 0;
      for (int v = 0; v < vocabulary; v++) {
        for (int h = 0; h < hiddenSize; h++) {
          z[v] += hidden[rows[i] * hiddenSize + h] * head[v * hiddenSize + h];
        }
        sum += Math.exp(z[v]);
      }
      assertThat(losses[i])
          .as("loss %d", i)
          .isCloseTo(Math.log(sum) - z[labels[i]], within(F32_SUM * 10));
      for (int v = 0; v < vocabulary; v++) {
        double dz = (Math.exp(z[v]) / sum - (v == labels[i] ? 1 : 0)) / rows.length;
        for (int h = 0; h < hiddenSize; h++) {
          expected[rows[i] * hiddenSize + h] += dz * head[v * hiddenSize + h];
          size[rows[i] * hiddenSize + h] += Math.abs(dz * head[v * hiddenSize + h]);
        }
      }
    }
    assertClose("dhidden", gradient, new Sum(expected, size), EPS, EPS);
  }

  @Test
  void oneStepOfAdamW() {
    int count = 1000;
    double[] p = roundF32(gaussian(count, 1));
    double[] g = roundF32(gaussian(count, 1));
    JCudaMemory parameter = f32(p);
    try (GatunKernels kernels = GatunKernels.adopt(stream.handle())) {
      kernels.adamW(
          new AdamWUpdate(
              Vector.f32(parameter.pointer(), count),
              Vector.f32(f32(g).pointer(), count),
              Vector.f32(zeros(4L * count).pointer(), count),
              Vector.f32(zeros(4L * count).pointer(), count),
              new OptimizerOps.AdamW(0.01, 0.9, 0.999, 1e-8, 0.1, 1)));
    }
    double[] actual = readF32(parameter, count);
    for (int i = 0; i < count; i++) {
      // After one step both corrected moments are the gradient's own.
      double expected = p[i] * (1 - 0.01 * 0.1) - 0.01 * g[i] / (Math.abs(g[i]) + 1e-8);
      assertThat(actual[i]).as("element %d", i).isCloseTo(expected, within(1e-6));
    }
  }

  @Test
  void anAddressOutsideOfJCudasMemoryIsRefused() {
    Weight weight = new Weight();
    try (GatunKernels kernels = GatunKernels.adopt(stream.handle())) {
      Matrix nowhere = Matrix.bf16(new DevicePtr(0x1000), OUT, IN);
      assertThatThrownBy(() -> kernels.dequantize(nowhere, weight.matrix()))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("are not within memory that");
    }
    JCudaDriver.cuStreamSynchronize(stream); // the context is as it was
  }

  /// A random 4-bit weight and its dequantised values, rounded to BF16 as documented.
  private final class Weight {
    final double[] values = new double[OUT * IN];
    final JCudaMemory packed;
    final JCudaMemory absmax;

    Weight() {
      byte[] bytes = new byte[OUT * IN / 2];
      random.nextBytes(bytes);
      double[] scales = new double[OUT * IN / Nf4Codec.BLOCK];
      for (int i = 0; i < scales.length; i++) {
        scales[i] = (float) (0.05 + 0.1 * random.nextDouble());
      }
      float[] codebook = Nf4Codec.codebook();
      for (int i = 0; i < values.length; i++) {
        int nibble = bytes[i / 2] >> (i % 2 == 0 ? 4 : 0) & 0xF;
        float exact = codebook[nibble] * (float) scales[i / Nf4Codec.BLOCK];
        values[i] = Bf16.toFloat(Bf16.of(exact));
      }
      packed = upload(Pointer.to(bytes), bytes.length);
      absmax = f32(scales);
    }

    Nf4Matrix matrix() {
      return Nf4Matrix.plain(packed.pointer(), absmax.pointer(), OUT, IN);
    }
  }

  /// Sums and the sums of their terms' magnitudes.
  private record Sum(double[] values, double[] sizes) {
    Sum plus(Sum other) {
      double[] v = values.clone();
      double[] s = sizes.clone();
      for (int i = 0; i < v.length; i++) {
        v[i] += other.values[i];
        s[i] += other.sizes[i];
      }
      return new Sum(v, s);
    }

    Sum times(double factor) {
      double[] v = values.clone();
      double[] s = sizes.clone();
      for (int i = 0; i < v.length; i++) {
        v[i] *= factor;
        s[i] *= factor;
      }
      return new Sum(v, s);
    }
  }

  /// `out[m, n] = Σ_k a[m·am + k·ak] · b[n·bn + k·bk]`, strides in the order (ak, am, bn, bk).
  private static Sum product(
      double[] a, double[] b, int rows, int cols, int depth, int ak, int am, int bn, int bk) {
    double[] values = new double[rows * cols];
    double[] sizes = new double[rows * cols];
    for (int m = 0; m < rows; m++) {
      for (int n = 0; n < cols; n++) {
        for (int k = 0; k < depth; k++) {
          double term = a[m * am + k * ak] * b[n * bn + k * bk];
          values[m * cols + n] += term;
          sizes[m * cols + n] += Math.abs(term);
        }
      }
    }
    return new Sum(values, sizes);
  }

  private static void assertClose(
      String what, double[] actual, Sum expected, double relative, double terms) {
    for (int i = 0; i < actual.length; i++) {
      double bound =
          relative * Math.abs(expected.values[i]) + (terms + F32_SUM) * expected.sizes[i];
      assertThat(actual[i])
          .as("%s at %d", what, i)
          .isCloseTo(expected.values[i], within(bound + Float.MIN_NORMAL));
    }
  }

  private static org.assertj.core.data.Offset<Double> within(double bound) {
    return org.assertj.core.data.Offset.offset(bound);
  }

  /// Normal values that are BF16 exactly.
  private double[] gaussian(int count, double deviation) {
    double[] values = new double[count];
    for (int i = 0; i < count; i++) {
      values[i] = Bf16.toFloat(Bf16.of((float) (deviation * random.nextGaussian())));
    }
    return values;
  }

  private static double[] roundF32(double[] values) {
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) values[i];
    }
    return values;
  }

  private JCudaMemory allocate(long bytes) {
    JCudaMemory block = new JCudaMemory();
    JCudaDriver.cuMemAlloc(block, bytes);
    memory.add(block);
    return block;
  }

  private JCudaMemory zeros(long bytes) {
    return upload(Pointer.to(new byte[Math.toIntExact(bytes)]), bytes);
  }

  private JCudaMemory upload(Pointer source, long bytes) {
    JCudaMemory block = allocate(bytes);
    JCudaDriver.cuMemcpyHtoD(block, source, bytes);
    JCudaDriver.cuCtxSynchronize(); // a copy of pageable memory may still be under way
    return block;
  }

  private JCudaMemory bf16(double[] values) {
    short[] bits = new short[values.length];
    for (int i = 0; i < bits.length; i++) {
      bits[i] = Bf16.of((float) values[i]);
    }
    return upload(Pointer.to(bits), 2L * bits.length);
  }

  private JCudaMemory f32(double[] values) {
    float[] floats = new float[values.length];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = (float) values[i];
    }
    return upload(Pointer.to(floats), 4L * floats.length);
  }

  private JCudaMemory ints(int[] values) {
    return upload(Pointer.to(values), 4L * values.length);
  }

  private double[] readBf16(JCudaMemory source, int count) {
    short[] bits = new short[count];
    JCudaDriver.cuMemcpyDtoHAsync(Pointer.to(bits), source, 2L * count, stream);
    JCudaDriver.cuStreamSynchronize(stream);
    double[] values = new double[count];
    for (int i = 0; i < count; i++) {
      values[i] = Bf16.toFloat(bits[i]);
    }
    return values;
  }

  private double[] readF32(JCudaMemory source, int count) {
    float[] floats = new float[count];
    JCudaDriver.cuMemcpyDtoHAsync(Pointer.to(floats), source, 4L * count, stream);
    JCudaDriver.cuStreamSynchronize(stream);
    double[] values = new double[count];
    for (int i = 0; i < count; i++) {
      values[i] = floats[i];
    }
    return values;
  }
}
