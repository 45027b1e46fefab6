package dev.gatun.nn;

import dev.gatun.model.LoraConfig;
import dev.gatun.model.ModelConfig;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.nio.charset.StandardCharsets;
import java.util.SortedMap;
import java.util.TreeMap;

/// Starting values of low-rank updates: random A, zero B. Every value depends only on the seed, the
/// module's path and its place in A, not on the order of modules or on how many there are.
public final class LoraInitializer {
  private static final long GOLDEN_GAMMA = 0x9E3779B97F4A7C15L;

  private LoraInitializer() {}

  /// Updates for the modules that [LoraTargets#resolve] found.
  public static SortedMap<String, LoraModule> initialize(
      SortedMap<String, LoraConfig.Adapted> targets,
      ModelConfig model,
      LoraConfig.Initialization initialization,
      long seed) {
    SortedMap<String, LoraModule> modules = new TreeMap<>();
    for (ModuleTree.Linear linear : ModuleTree.linears(model)) {
      LoraConfig.Adapted adapted = targets.get(linear.path());
      if (adapted != null) {
        Shape shape = Shape.of(adapted.rank(), linear.in());
        float[] a = values(shape, initialization, mix(seed ^ hash(linear.path())));
        Shape zero = Shape.of(linear.out(), adapted.rank());
        modules.put(
            linear.path(),
            new LoraModule(
                adapted,
                Tensor.ofFloats(shape, a),
                Tensor.ofFloats(zero, new float[Math.toIntExact(zero.count())])));
      }
    }
    return modules;
  }

  private static float[] values(
      Shape shape, LoraConfig.Initialization initialization, long stream) {
    float[] values = new float[Math.toIntExact(shape.count())];
    double rank = shape.dim(0);
    double bound = 1 / Math.sqrt((double) shape.dim(1));
    for (int i = 0; i < values.length; i++) {
      values[i] =
          switch (initialization) {
            // kaiming_uniform with a = √5: bound √(6 / ((1 + a²)·in)) = 1/√in.
            case KAIMING_UNIFORM -> (float) ((2 * uniform(stream, 2L * i) - 1) * bound);
            case GAUSSIAN -> (float) (gaussian(stream, i) / rank);
          };
    }
    return values;
  }

  /// Box and Muller's transform of two uniform numbers.
  private static double gaussian(long stream, long index) {
    double radius = Math.sqrt(-2 * Math.log(1 - uniform(stream, 2 * index)));
    return radius * Math.cos(2 * Math.PI * uniform(stream, 2 * index + 1));
  }

  /// A number in [0, 1): SplitMix64 (Steele et al., 2014) at a given place of its sequence.
  private static double uniform(long stream, long index) {
    return (mix(stream + (index + 1) * GOLDEN_GAMMA) >>> 11) * 0x1p-53;
  }

  private static long mix(long z) {
    long a = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    long b = (a ^ (a >>> 27)) * 0x94D049BB133111EBL;
    return b ^ (b >>> 31);
  }

  /// FNV-1a, 64 bits.
  private static long hash(String text) {
    long hash = 0xCBF29CE484222325L;
    for (byte value : text.getBytes(StandardCharsets.UTF_8)) {
      hash = (hash ^ (value & 0xFF)) * 0x100000001B3L;
    }
    return hash;
  }
}
