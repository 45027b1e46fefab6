package dev.gatun.cpu.simd;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/// Whether this machine's vectors are wide enough for [SimdKernels].
public final class SimdSupport {
  private SimdSupport() {}

  /// Whether the run time has the module `jdk.incubator.vector` and vectors of at least 256 bits.
  /// Without the module nothing else of this package may be touched.
  public static boolean isAvailable() {
    return ModuleLayer.boot().findModule("jdk.incubator.vector").isPresent() && Width.isEnough();
  }

  static VectorSpecies<Float> species() {
    return FloatVector.SPECIES_PREFERRED.length() >= 16
        ? FloatVector.SPECIES_512
        : FloatVector.SPECIES_256;
  }

  // A class of its own, so that asking about the module links no vector class.
  private static final class Width {
    static boolean isEnough() {
      return FloatVector.SPECIES_PREFERRED.vectorBitSize() >= 256;
    }
  }
}
