package dev.gatun.cuda;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.FailureException;
import dev.gatun.tensor.Bf16;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

@ExtendWith(FakeDriver.class)
class CublasLtTest {
  private static final int M = 5;
  private static final int N = 3;
  private static final int K = 4;

  /// Small integers, so that every product and sum is exact in any order and type.
  @Test
  void rowMajorProductsInEveryTransposition() {
    try (Context context = Context.open(Device.of(0));
        Stream stream = context.stream("compute");
        CublasLt blas = CublasLt.create(context)) {
      for (boolean transposeA : new boolean[] {false, true}) {
        for (boolean transposeB : new boolean[] {false, true}) {
          for (Gemm.Output output : Gemm.Output.values()) {
            check(context, stream, blas, transposeA, transposeB, output);
          }
        }
      }
      assertThat(blas.planCount()).isEqualTo(8);
      assertThat(Fake.cublas("fake_heuristics")).isEqualTo(8);
      assertThat(Fake.cublas("fake_preferred", 3)).isEqualTo(2); // sums in fp32 only
      assertThat(Fake.cublas("fake_preferred", 1)).isEqualTo(1 << 20);
    }
    assertThat(Fake.cublas("fake_live")).isZero();
  }

  private static void check(
      Context context,
      Stream stream,
      CublasLt blas,
      boolean transposeA,
      boolean transposeB,
      Gemm.Output output) {
    int strideA = (transposeA ? M : K) + 2;
    int strideB = (transposeB ? K : N) + 1;
    int strideC = N + 1;
    int strideD = N + 3;
    int[] a = integers((transposeA ? K : M) * strideA, 1);
    int[] b = integers((transposeB ? N : K) * strideB, 2);
    int[] c = integers(M * strideC, 3);
    Gemm gemm =
        new Gemm(
            M,
            N,
            K,
            new Gemm.Operand(transposeA, strideA),
            new Gemm.Operand(transposeB, strideB),
            strideC,
            strideD,
            output);
    boolean wide = output == Gemm.Output.F32;
    try (DeviceBuffer da = bf16(context, a);
        DeviceBuffer db = bf16(context, b);
        DeviceBuffer dc = wide ? f32(context, c) : bf16(context, c);
        DeviceBuffer dd = context.allocate("d", 4L * M * strideD);
        DeviceBuffer scratch = context.allocate("workspace", 1 << 20)) {
      CublasLt.Workspace workspace = new CublasLt.Workspace(scratch.pointer(), scratch.byteSize());
      CublasLt.Matrices matrices =
          new CublasLt.Matrices(da.pointer(), db.pointer(), dc.pointer(), dd.pointer());
      blas.multiply(stream, gemm, matrices, 2f, 3f, workspace);
      blas.multiply(stream, gemm, matrices, 2f, 3f, workspace);
      float[] d = floats(dd, M * strideD, wide);
      for (int i = 0; i < M; i++) {
        for (int j = 0; j < N; j++) {
          int sum = 0;
          for (int p = 0; p < K; p++) {
            sum +=
                a[transposeA ? p * strideA + i : i * strideA + p]
                    * b[transposeB ? j * strideB + p : p * strideB + j];
          }
          assertThat(d[i * strideD + j])
              .as("%s at %d, %d", gemm, i, j)
              .isEqualTo(2f * sum + 3f * c[i * strideC + j]);
        }
      }
    }
  }

  @Test
  void smallAlignmentsAreToldToTheHeuristic() {
    try (Context context = Context.open(Device.of(0));
        Stream stream = context.stream("compute");
        CublasLt blas = CublasLt.create(context);
        DeviceBuffer buffer = context.allocate("all", 4096)) {
      Gemm gemm = Gemm.linear(2, 2, 2, Gemm.Output.BF16);
      blas.multiply(
          stream,
          gemm,
          new CublasLt.Matrices(
              buffer.pointer(16, 8), buffer.pointer(256 + 2, 8), buffer.pointer(512, 8)),
          1f,
          0f,
          CublasLt.Workspace.NONE);
      assertThat(Fake.cublas("fake_preferred", 5)).isEqualTo(2); // cuBLASLt's A is our B
      assertThat(Fake.cublas("fake_preferred", 6)).isEqualTo(16);
      assertThat(Fake.cublas("fake_preferred", 8)).isEqualTo(256);
      assertThatThrownBy(() ->
              blas.multiply(
                  stream,
                  gemm,
                  new CublasLt.Matrices(buffer.pointer(), buffer.pointer(), buffer.pointer(512, 8)),
                  1f,
                  1f,
                  CublasLt.Workspace.NONE))
          .hasMessageContaining("there is no C");
    }
  }

  @Test
  void refusalsNameTheProduct() {
    try (Context context = Context.open(Device.of(0));
        Stream stream = context.stream("compute");
        CublasLt blas = CublasLt.create(context);
        DeviceBuffer buffer = context.allocate("all", 4096)) {
      Fake.cublas("fake_refuse", 1);
      assertThatThrownBy(() ->
              blas.multiply(
                  stream,
                  Gemm.plain(2, 3, 4, Gemm.Output.F32),
                  new CublasLt.Matrices(
                      buffer.pointer(), buffer.pointer(), buffer.pointer(512, 24)),
                  1f,
                  0f,
                  CublasLt.Workspace.NONE))
          .isInstanceOf(CudaException.class)
          .hasMessageContaining("m=2, n=3, k=4")
          .hasMessageContaining("CUBLAS_STATUS_NOT_SUPPORTED (15)");
    }
    assertThat(Fake.cublas("fake_live")).isZero();
    assertThatThrownBy(() -> Gemm.plain(0, 1, 1, Gemm.Output.F32)).hasMessageContaining("empty");
    assertThatThrownBy(() ->
            new Gemm(
                4,
                4,
                4,
                new Gemm.Operand(false, 3),
                new Gemm.Operand(false, 4),
                4,
                4,
                Gemm.Output.F32))
        .hasMessage("rows of A are 3 elements apart but 4 long");
  }

  @Test
  void aWrongMajorVersionIsOneSentence() {
    Fake.cublas("fake_version", 110501);
    try (Context context = Context.open(Device.of(0))) {
      assertThatThrownBy(() -> CublasLt.create(context))
          .isInstanceOf(FailureException.class)
          .hasMessageMatching(
              "CUBLASLT at .*/libcublaslt\\.so is version 11\\.5\\.1, which is not supported: install cuBLAS 12 or 13.*");
    }
  }

  private static int[] integers(int count, long seed) {
    return new Random(seed).ints(count, -4, 5).toArray();
  }

  private static DeviceBuffer bf16(Context context, int[] values) {
    short[] bits = new short[values.length];
    for (int i = 0; i < bits.length; i++) {
      bits[i] = (short) (Float.floatToRawIntBits(values[i]) >>> 16); // exact for small integers
    }
    return upload(context, MemorySegment.ofArray(bits));
  }

  private static DeviceBuffer f32(Context context, int[] values) {
    float[] floats = new float[values.length];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = values[i];
    }
    return upload(context, MemorySegment.ofArray(floats));
  }

  private static DeviceBuffer upload(Context context, MemorySegment values) {
    DeviceBuffer buffer = context.allocate("matrix", values.byteSize());
    buffer.upload(0, values);
    return buffer;
  }

  private static float[] floats(DeviceBuffer buffer, int count, boolean wide) {
    byte[] raw = new byte[count * (wide ? 4 : 2)];
    buffer.download(MemorySegment.ofArray(raw), 0);
    float[] result = new float[count];
    for (int i = 0; i < count; i++) {
      result[i] =
          wide
              ? MemorySegment.ofArray(raw).get(JAVA_FLOAT.withByteAlignment(1), 4L * i)
              : Bf16.toFloat(
                  MemorySegment.ofArray(raw).get(JAVA_SHORT.withByteAlignment(1), 2L * i));
    }
    return result;
  }
}
