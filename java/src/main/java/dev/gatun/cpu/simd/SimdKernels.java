package dev.gatun.cpu.simd;

import dev.gatun.cpu.kernel.Kernels;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/// The inner loops with the Vector API, for machines with vectors of 256 or 512 bits. Load this
/// class only after [SimdSupport#isAvailable()] said so.
public final class SimdKernels implements Kernels {
  private static final VectorSpecies<Float> SPECIES = SimdSupport.species();
  private static final int LANES = SPECIES.length();

  @Override
  public String name() {
    return SPECIES.vectorBitSize() + "-bit vectors";
  }

  @Override
  public void multiply(float[] c, float[] a, float[] b, Tile tile) {
    if (LANES == 16) {
      MultiplyKernel512.multiply(c, a, b, tile);
    } else {
      MultiplyKernel256.multiply(c, a, b, tile);
    }
  }

  @Override
  public float dot(float[] a, int aFrom, float[] b, int bFrom, int count) {
    FloatVector s0 = FloatVector.zero(SPECIES);
    FloatVector s1 = s0;
    FloatVector s2 = s0;
    FloatVector s3 = s0;
    int i = 0;
    for (int end = count - 4 * LANES; i <= end; i += 4 * LANES) {
      int p = aFrom + i;
      int q = bFrom + i;
      s0 = load(a, p).fma(load(b, q), s0);
      s1 = load(a, p + LANES).fma(load(b, q + LANES), s1);
      s2 = load(a, p + 2 * LANES).fma(load(b, q + 2 * LANES), s2);
      s3 = load(a, p + 3 * LANES).fma(load(b, q + 3 * LANES), s3);
    }
    for (int end = count - LANES; i <= end; i += LANES) {
      s0 = load(a, aFrom + i).fma(load(b, bFrom + i), s0);
    }
    float sum = LaneSum.of(s0.add(s1).add(s2.add(s3)));
    for (; i < count; i++) {
      sum += a[aFrom + i] * b[bFrom + i];
    }
    return sum;
  }

  private static FloatVector load(float[] x, int at) {
    return FloatVector.fromArray(SPECIES, x, at);
  }

  @Override
  public double sumOfSquares(float[] x, int from, int count) {
    // Blocks bound the error that F32 lanes gather.
    double sum = 0;
    for (int i = 0; i < count; i += 1024) {
      int size = Math.min(1024, count - i);
      sum += dot(x, from + i, x, from + i, size);
    }
    return sum;
  }

  @Override
  public float max(float[] x, int from, int count) {
    FloatVector largest = FloatVector.broadcast(SPECIES, Float.NEGATIVE_INFINITY);
    int i = 0;
    for (int end = count - LANES; i <= end; i += LANES) {
      largest = largest.max(load(x, from + i));
    }
    float result = largest.reduceLanes(VectorOperators.MAX);
    for (; i < count; i++) {
      result = Math.max(result, x[from + i]);
    }
    return result;
  }

  @Override
  public double expSum(float[] x, int from, int count, float shift) {
    return SimdExponential.expSum(x, from, count, shift);
  }

  @Override
  public void silu(float[] h, float[] gate, float[] up, int count) {
    SimdExponential.silu(h, gate, up, count);
  }

  @Override
  public void siluBackward(SiluGradients outputs, float[] dh, float[] gate, float[] up, int count) {
    SimdExponential.siluBackward(outputs, dh, gate, up, count);
  }
}
