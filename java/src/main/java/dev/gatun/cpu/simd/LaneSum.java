package dev.gatun.cpu.simd;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/// The sum of a vector's lanes, always as the same tree of halves. `reduceLanes` leaves the order
/// open: interpreted and compiled code then differ in the last bit, and with them two runs.
final class LaneSum {
  private static final VectorSpecies<Float> SPECIES = SimdSupport.species();
  private static final int LANES = SPECIES.length();
  private static final VectorShuffle<Float> BY_8 = rotation(8);
  private static final VectorShuffle<Float> BY_4 = rotation(4);
  private static final VectorShuffle<Float> BY_2 = rotation(2);
  private static final VectorShuffle<Float> BY_1 = rotation(1);

  private LaneSum() {}

  private static VectorShuffle<Float> rotation(int lanes) {
    return VectorShuffle.fromOp(SPECIES, lane -> (lane + lanes) % LANES);
  }

  static float of(FloatVector vector) {
    FloatVector sum = vector;
    if (LANES == 16) {
      sum = sum.add(sum.rearrange(BY_8));
    }
    sum = sum.add(sum.rearrange(BY_4));
    sum = sum.add(sum.rearrange(BY_2));
    return sum.add(sum.rearrange(BY_1)).lane(0);
  }
}
