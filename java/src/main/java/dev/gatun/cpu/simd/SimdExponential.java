package dev.gatun.cpu.simd;

import dev.gatun.cpu.kernel.Exponential;
import dev.gatun.cpu.kernel.Kernels.SiluGradients;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/// Loops around the exponential of [Exponential], a vector at a time, the tail under a mask.
final class SimdExponential {
  private static final VectorSpecies<Float> SPECIES = SimdSupport.species();
  private static final int LANES = SPECIES.length();

  // Exponentials are summed in F32 lanes for this many elements, then in double.
  private static final int SUM_BLOCK = 1024;

  private SimdExponential() {}

  static double expSum(float[] x, int from, int count, float shift) {
    double sum = 0;
    for (int i = 0; i < count; i += SUM_BLOCK) {
      sum += expSumBlock(x, from + i, Math.min(SUM_BLOCK, count - i), shift);
    }
    return sum;
  }

  private static float expSumBlock(float[] x, int from, int count, float shift) {
    FloatVector total = FloatVector.zero(SPECIES);
    int i = 0;
    for (int end = count - LANES; i <= end; i += LANES) {
      FloatVector value = FloatVector.fromArray(SPECIES, x, from + i).sub(shift);
      FloatVector e = exp(value);
      e = e.blend(0f, value.compare(VectorOperators.LT, Exponential.LOWEST));
      e.intoArray(x, from + i);
      total = total.add(e);
    }
    if (i < count) {
      VectorMask<Float> tail = SPECIES.indexInRange(i, count);
      FloatVector value = FloatVector.fromArray(SPECIES, x, from + i, tail).sub(shift);
      FloatVector e = exp(value);
      e = e.blend(0f, value.compare(VectorOperators.LT, Exponential.LOWEST).or(tail.not()));
      e.intoArray(x, from + i, tail);
      total = total.add(e);
    }
    return LaneSum.of(total);
  }

  static void silu(float[] h, float[] gate, float[] up, int count) {
    int i = 0;
    for (int end = count - LANES; i <= end; i += LANES) {
      FloatVector g = FloatVector.fromArray(SPECIES, gate, i);
      FloatVector u = FloatVector.fromArray(SPECIES, up, i);
      g.div(exp(g.neg()).add(1f)).mul(u).intoArray(h, i);
    }
    if (i < count) {
      VectorMask<Float> tail = SPECIES.indexInRange(i, count);
      FloatVector g = FloatVector.fromArray(SPECIES, gate, i, tail);
      FloatVector u = FloatVector.fromArray(SPECIES, up, i, tail);
      g.div(exp(g.neg()).add(1f)).mul(u).intoArray(h, i, tail);
    }
  }

  static void siluBackward(SiluGradients outputs, float[] dh, float[] gate, float[] up, int count) {
    float[] dgate = outputs.dgate();
    float[] dup = outputs.dup();
    float[] h = outputs.h();
    for (int i = 0; i < count; i += LANES) {
      VectorMask<Float> lanes = SPECIES.indexInRange(i, count);
      FloatVector g = FloatVector.fromArray(SPECIES, gate, i, lanes);
      FloatVector u = FloatVector.fromArray(SPECIES, up, i, lanes);
      FloatVector d = FloatVector.fromArray(SPECIES, dh, i, lanes);
      FloatVector one = FloatVector.broadcast(SPECIES, 1f);
      FloatVector sigmoid = one.div(exp(g.neg()).add(1f));
      FloatVector act = g.mul(sigmoid);
      FloatVector slope = sigmoid.mul(g.mul(one.sub(sigmoid)).add(1f));
      d.mul(u).mul(slope).intoArray(dgate, i, lanes);
      d.mul(act).intoArray(dup, i, lanes);
      act.mul(u).intoArray(h, i, lanes);
    }
  }

  private static FloatVector exp(FloatVector x) {
    // Comparisons, unlike min and max, keep NaN at no cost.
    x = x.blend(Exponential.LOWEST, x.compare(VectorOperators.LT, Exponential.LOWEST));
    x = x.blend(Exponential.HIGHEST, x.compare(VectorOperators.GT, Exponential.HIGHEST));
    FloatVector rounder = FloatVector.broadcast(SPECIES, Exponential.ROUNDER);
    FloatVector shifted = x.fma(FloatVector.broadcast(SPECIES, Exponential.LOG2_E), rounder);
    FloatVector n = shifted.sub(rounder);
    FloatVector r = n.fma(FloatVector.broadcast(SPECIES, -Exponential.LN2_HIGH), x);
    r = n.fma(FloatVector.broadcast(SPECIES, -Exponential.LN2_LOW), r);
    FloatVector one = FloatVector.broadcast(SPECIES, 1f);
    FloatVector p = FloatVector.broadcast(SPECIES, Exponential.C7);
    p = p.fma(r, FloatVector.broadcast(SPECIES, Exponential.C6));
    p = p.fma(r, FloatVector.broadcast(SPECIES, Exponential.C5));
    p = p.fma(r, FloatVector.broadcast(SPECIES, Exponential.C4));
    p = p.fma(r, FloatVector.broadcast(SPECIES, Exponential.C3));
    p = p.fma(r, FloatVector.broadcast(SPECIES, Exponential.C2));
    p = p.fma(r, one).fma(r, one);
    IntVector power = shifted.reinterpretAsInts().lanewise(VectorOperators.LSHL, 23);
    return p.reinterpretAsInts().add(power).reinterpretAsFloats();
  }
}
