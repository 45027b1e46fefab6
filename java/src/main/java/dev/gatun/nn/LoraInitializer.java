package dev.gatun.nn;

import dev.gatun.InputException;
import dev.gatun.model.LoraConfig;
import dev.gatun.model.ModelConfig;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.nio.charset.StandardCharsets;
import java.util.SortedMap;
import java.util.TreeMap;

/// Starting values of low-rank updates. Every value depends only on the seed, the module's path and
/// its place there, not on the order of modules or on how many there are.
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
    for (ModuleTree.Linear linear : ModuleTree.adaptable(model)) {
      LoraConfig.Adapted adapted = targets.get(linear.path());
      if (adapted != null) {
        long stream = mix(seed ^ hash(linear.path()));
        modules.put(linear.path(), module(linear, adapted, initialization, stream));
      }
    }
    return modules;
  }

  private static LoraModule module(
      ModuleTree.Linear linear,
      LoraConfig.Adapted adapted,
      LoraConfig.Initialization initialization,
      long stream) {
    Shape a = Shape.of(adapted.rank(), linear.in());
    Shape b = Shape.of(linear.out(), adapted.rank());
    if (linear.path().equals(ModuleTree.EMBEDDING)) {
      return embedding(adapted, a, b, initialization, stream);
    }
    return switch (initialization) {
      // kaiming_uniform with a = √5: bound √(6 / ((1 + a²)·in)) = 1/√in.
      case KAIMING_UNIFORM -> new LoraModule(adapted, bounded(a, stream), zeros(b));
      case GAUSSIAN -> new LoraModule(adapted, normal(a, 1.0 / adapted.rank(), stream), zeros(b));
      case UNIFORM ->
          new LoraModule(adapted, bounded(a, stream), bounded(b, mix(stream + GOLDEN_GAMMA)));
      case ORTHOGONAL -> orthogonal(linear, adapted, stream);
      case PISSA, LOFTQ ->
          throw new IllegalArgumentException(initialization + " starts from the weights");
    };
  }

  /// PEFT's for an embedding: what is looked up starts at zero.
  private static LoraModule embedding(
      LoraConfig.Adapted adapted,
      Shape a,
      Shape b,
      LoraConfig.Initialization initialization,
      long stream) {
    Tensor up = normal(b, 1, mix(stream + GOLDEN_GAMMA));
    return switch (initialization) {
      case KAIMING_UNIFORM, GAUSSIAN -> new LoraModule(adapted, zeros(a), up);
      case UNIFORM -> new LoraModule(adapted, normal(a, 1, stream), up);
      case ORTHOGONAL ->
          throw new InputException(
              "init_lora_weights: orthogonal is for linear layers, and target_modules include embed_tokens; leave one of them out");
      case PISSA, LOFTQ ->
          throw new IllegalArgumentException(initialization + " starts from the weights");
    };
  }

  private static Tensor zeros(Shape shape) {
    return Tensor.ofFloats(shape, new float[Math.toIntExact(shape.count())]);
  }

  /// Uniform within one over the root of the row length.
  private static Tensor bounded(Shape shape, long stream) {
    double bound = 1 / Math.sqrt((double) shape.dim(1));
    float[] values = new float[Math.toIntExact(shape.count())];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) ((2 * uniform(stream, 2L * i) - 1) * bound);
    }
    return Tensor.ofFloats(shape, values);
  }

  private static Tensor normal(Shape shape, double deviation, long stream) {
    float[] values = new float[Math.toIntExact(shape.count())];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (gaussian(stream, i) * deviation);
    }
    return Tensor.ofFloats(shape, values);
  }

  /// PEFT's `orthogonal`: a random rotation's odd rows span A and its even rows B.
  private static LoraModule orthogonal(
      ModuleTree.Linear linear, LoraConfig.Adapted adapted, long stream) {
    int rank = adapted.rank();
    if (rank % 2 != 0) {
      throw new InputException(
          "init_lora_weights: orthogonal needs an even rank, and that of %s is %d; use an even one"
              .formatted(linear.path(), rank));
    }
    double[][] rotation = rotation(rank, stream);
    int half = rank / 2;
    int in = Math.toIntExact(linear.in());
    int out = Math.toIntExact(linear.out());
    float[] a = new float[Math.multiplyExact(rank, in)];
    float[] b = new float[Math.multiplyExact(out, rank)];
    long forA = mix(stream + GOLDEN_GAMMA);
    long forB = mix(stream + (GOLDEN_GAMMA << 1));
    for (int r = 0; r < rank; r++) {
      for (int i = 0; i < in; i++) {
        a[r * in + i] = combination(rotation, 0, r, half, forA, (long) i * half);
      }
      for (int o = 0; o < out; o++) {
        b[o * rank + r] = combination(rotation, 1, r, half, forB, (long) o * half);
      }
    }
    return new LoraModule(
        adapted, Tensor.ofFloats(Shape.of(rank, in), a), Tensor.ofFloats(Shape.of(out, rank), b));
  }

  /// A tenth of a random combination of every other row of the rotation, in one column.
  private static float combination(
      double[][] rotation, int first, int column, int half, long stream, long place) {
    double sum = 0;
    for (int k = 0; k < half; k++) {
      sum += gaussian(stream, place + k) * rotation[2 * k + first][column];
    }
    return (float) (sum / 10);
  }

  /// Orthonormal rows: Gram and Schmidt's method, twice for accuracy, on random ones.
  private static double[][] rotation(int rank, long stream) {
    double[][] rows = new double[rank][rank];
    for (int r = 0; r < rank; r++) {
      for (int i = 0; i < rank; i++) {
        rows[r][i] = gaussian(stream, (long) r * rank + i);
      }
      for (int pass = 0; pass < 2; pass++) {
        for (int k = 0; k < r; k++) {
          double share = dot(rows[r], rows[k]);
          for (int i = 0; i < rank; i++) {
            rows[r][i] -= share * rows[k][i];
          }
        }
      }
      double norm = Math.sqrt(dot(rows[r], rows[r]));
      for (int i = 0; i < rank; i++) {
        rows[r][i] /= norm;
      }
    }
    return rows;
  }

  private static double dot(double[] x, double[] y) {
    double sum = 0;
    for (int i = 0; i < x.length; i++) {
      sum += x[i] * y[i];
    }
    return sum;
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
