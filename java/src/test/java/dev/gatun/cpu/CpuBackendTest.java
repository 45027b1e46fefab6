package dev.gatun.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import dev.gatun.op.Accumulate;
import dev.gatun.op.AttentionOps;
import dev.gatun.op.Nf4Layout;
import dev.gatun.op.Projection;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.HostStorage;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/// What is particular to the CPU: any number of threads gives the same bits, and mapped weights are
/// used where they lie.
class CpuBackendTest {
  private static float[] normals(int count, long seed) {
    Random random = new Random(seed);
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  private static Tensor random(long seed, long... shape) {
    Shape s = Shape.of(shape);
    return Tensor.ofFloats(s, normals((int) s.count(), seed));
  }

  @Test
  void theNumberOfThreadsChangesNoBit() {
    List<float[]> expected = results(CpuBackend.create(1));
    for (int threads : new int[] {2, 3, 7}) {
      List<float[]> actual = results(CpuBackend.create(threads));
      for (int i = 0; i < expected.size(); i++) {
        assertThat(actual.get(i))
            .as("%d threads, result %d", threads, i)
            .isEqualTo(expected.get(i));
      }
    }
  }

  private static List<float[]> results(CpuBackend backend) {
    List<float[]> results = new ArrayList<>();
    try (backend;
        TensorArena arena = backend.arena("test", 64 << 20)) {
      Weight weight =
          backend
              .quant()
              .quantize(
                  new Nf4Layout(330, 257, 64, true, DType.F32).allocate(arena),
                  random(1, 330, 257),
                  arena);
      Projection projection =
          new Projection(
              weight, null, new Projection.Lora(random(2, 8, 257), random(3, 330, 8), 2, null));
      Tensor x = random(4, 301, 257);
      Tensor y = arena.allocate(DType.F32, Shape.of(301, 330));
      Tensor inner = arena.allocate(DType.F32, Shape.of(301, 8));
      backend
          .matmul()
          .forward(List.of(y), Arrays.asList(inner), x, null, List.of(projection), arena);
      Tensor dx = arena.allocate(DType.F32, Shape.of(301, 257));
      Tensor da = random(5, 8, 257);
      Tensor db = random(6, 330, 8);
      Projection.Gradients gradients = new Projection.Gradients(null, null, da, db);
      List<Tensor> dy = List.of(random(7, 301, 330));
      Tensor innerGradient = arena.allocate(DType.F32, Shape.of(301, 8));
      backend
          .matmul()
          .backward(
              dx,
              Accumulate.REPLACE,
              dy,
              Arrays.asList(inner),
              Arrays.asList(innerGradient),
              List.of(projection),
              List.of(gradients),
              arena);
      backend
          .matmul()
          .weightGradients(
              dy, Arrays.asList(innerGradient), x, List.of(projection), List.of(gradients), arena);
      results.addAll(
          List.of(
              y.toFloats(),
              dx.toFloats(),
              da.toFloats(),
              db.toFloats(),
              norm(backend, arena, x),
              attention(backend, arena)));
    }
    return results;
  }

  private static float[] norm(CpuBackend backend, TensorArena arena, Tensor x) {
    Tensor dweight = arena.allocate(DType.F32, Shape.of(257));
    backend.tensor().zero(dweight);
    Tensor rstd = arena.allocate(DType.F32, Shape.of(301));
    Tensor y = arena.allocate(DType.F32, x.shape());
    Tensor weight = random(8, 257);
    backend.norm().forward(y, rstd, x, weight, 1e-6f, 0);
    backend.norm().backward(y, dweight, y, null, x, weight, rstd, 0, arena);
    Tensor norm = arena.allocate(DType.F32, Shape.of(1));
    backend.optimizer().globalNorm(norm, List.of(y, dweight), arena);
    float[] result = Arrays.copyOf(dweight.toFloats(), 258);
    result[257] = norm.toFloats()[0];
    return result;
  }

  private static float[] attention(CpuBackend backend, TensorArena arena) {
    AttentionOps.Sequences sequences =
        new AttentionOps.Sequences(
            Tensor.ofInts(Shape.of(4), 0, 150, 151, 301),
            Tensor.ofInts(Shape.of(3), 0, 150, 151),
            Tensor.ofInts(Shape.of(3), 150, 1, 150),
            3,
            150,
            150);
    AttentionOps.Config config = new AttentionOps.Config(0.25f, 0, 0);
    Tensor q = random(9, 301, 4, 16);
    Tensor k = random(10, 301, 2, 16);
    Tensor v = random(11, 301, 2, 16);
    Tensor out = arena.allocate(DType.F32, q.shape());
    Tensor logSumExp = arena.allocate(DType.F32, Shape.of(301, 4));
    Tensor dq = arena.allocate(DType.F32, q.shape());
    Tensor dk = arena.allocate(DType.F32, k.shape());
    Tensor dv = arena.allocate(DType.F32, k.shape());
    backend.attention().forward(out, logSumExp, q, k, v, sequences, config, arena);
    backend
        .attention()
        .backward(
            dq, dk, dv, random(12, 301, 4, 16), q, k, v, out, logSumExp, sequences, config, arena);
    backend.tensor().add(dq, out);
    backend.tensor().add(dk, dv);
    float[] result = Arrays.copyOf(dq.toFloats(), (int) (q.count() + k.count()));
    System.arraycopy(dk.toFloats(), 0, result, (int) q.count(), (int) k.count());
    return result;
  }

  @Test
  void readOnlyUnalignedWeightsAreOperandsAsTheyAre() {
    float[] values = normals(6 * 5, 13);
    byte[] file = new byte[6 * 5 * 4 + 1];
    for (int i = 0; i < values.length; i++) {
      int bits = Float.floatToRawIntBits(values[i]);
      for (int b = 0; b < 4; b++) {
        file[1 + 4 * i + b] = (byte) (bits >>> (8 * b));
      }
    }
    HostStorage mapped = new HostStorage(MemorySegment.ofArray(file).asReadOnly());
    Weight weight = new Weight.Dense(Tensor.of(mapped, 1, DType.F32, Shape.of(6, 5)));
    float[] x = new float[5];
    x[2] = 1;
    try (CpuBackend backend = CpuBackend.create(1);
        TensorArena arena = backend.arena("test", 1024)) {
      Tensor y = arena.allocate(DType.F32, Shape.of(1, 6));
      backend.matmul().logits(y, Tensor.ofFloats(Shape.of(1, 5), x), weight, null, null, arena);

      assertThat(y.toFloats())
          .containsExactly(values[2], values[7], values[12], values[17], values[22], values[27]);
    }
  }

  @Test
  void aFailureInsideATaskReachesTheCaller() {
    try (CpuBackend backend = CpuBackend.create(4);
        TensorArena arena = backend.arena("test", 4 << 20)) {
      int[] ids = new int[40_000];
      ids[39_999] = 7;
      Tensor y = arena.allocate(DType.F32, Shape.of(40_000, 4));

      assertThatExceptionOfType(IndexOutOfBoundsException.class)
          .isThrownBy(() ->
              backend
                  .embedding()
                  .gather(y, random(14, 7, 4), Tensor.ofInts(Shape.of(40_000), ids), 1))
          .withMessageContaining("token id 7 of a vocabulary of 7");
    }
  }

  @Test
  void shapesThatDoNotFitAreRefused() {
    try (CpuBackend backend = CpuBackend.create(1);
        TensorArena arena = backend.arena("test", 1024)) {
      Tensor y = arena.allocate(DType.F32, Shape.of(2, 6));

      assertThatIllegalArgumentException()
          .isThrownBy(() ->
              backend
                  .matmul()
                  .logits(y, random(1, 2, 5), new Weight.Dense(random(2, 6, 4)), null, null, arena))
          .withMessageContaining("[2, 5] x [4, 6]");
    }
  }

  @Test
  void aClosedBackendRefusesAndItsArenasAreFreed() {
    CpuBackend backend = CpuBackend.create(2);
    TensorArena arena = backend.arena("test", 1024);
    Tensor tensor = arena.allocate(DType.F32, Shape.of(8, 4));
    backend.close();

    assertThatIllegalStateException().isThrownBy(tensor::toFloats);
    assertThatIllegalStateException().isThrownBy(() -> arena.allocate(DType.F32, Shape.of(1)));
    assertThatIllegalStateException()
        .isThrownBy(() -> backend.tensor().add(random(1, 8, 4), random(2, 8, 4)));
  }

  @Test
  void aBackendNeedsAThread() {
    assertThatIllegalArgumentException().isThrownBy(() -> CpuBackend.create(0));
  }
}
