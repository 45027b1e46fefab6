package dev.gatun.adapter;

import dev.gatun.InputException;
import dev.gatun.io.Checkpoint;
import dev.gatun.io.Subtracted;
import dev.gatun.io.WeightFormat;
import dev.gatun.model.LoraConfig;
import dev.gatun.nn.LoraModule;
import dev.gatun.nn.ModuleTree;
import dev.gatun.quant.Nf4Codec;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Collectors;

/// Low-rank updates that start from the weights they update: the largest singular values of the
/// weight itself, which the base then lacks (PiSSA: Meng et al., 2024), or of what the 4-bit base
/// makes wrong (LoftQ: Li et al., 2023). PEFT's `pissa_init` and `loftq_init`, but for one thing:
/// LoftQ's factors are divided by the update's scale as PiSSA's are, without which the start
/// overshoots unless `lora_alpha` is `lora_r`.
public final class WeightInitializer {
  private final Checkpoint checkpoint;
  private final WeightFormat format;
  private final long seed;

  private WeightInitializer(Checkpoint checkpoint, WeightFormat format, long seed) {
    this.checkpoint = checkpoint;
    this.format = format;
    this.seed = seed;
  }

  /// Whether a method needs the weights.
  public static boolean needsWeights(LoraConfig.Initialization initialization) {
    return switch (initialization) {
      case PISSA, LOFTQ -> true;
      case KAIMING_UNIFORM, GAUSSIAN, ORTHOGONAL, UNIFORM -> false;
    };
  }

  /// Updates for modules of a checkpoint, in parallel.
  ///
  /// @param targets by module path
  /// @param format what the weights become when they are loaded
  /// @throws InputException if the weights are not there to be taken apart
  public static SortedMap<String, LoraModule> initialize(
      SortedMap<String, LoraConfig.Adapted> targets,
      Checkpoint checkpoint,
      LoraConfig.Initialization initialization,
      WeightFormat format,
      long seed) {
    if (checkpoint.config().quantization() != null) {
      throw new InputException(
          "init_lora_weights: pissa and loftq start from unquantised weights, and those of %s are stored in 4 bit; name the checkpoint they came from"
              .formatted(checkpoint.configFile()));
    }
    for (String path : List.of(ModuleTree.EMBEDDING, ModuleTree.HEAD)) {
      if (targets.containsKey(path)) {
        throw new InputException(
            "init_lora_weights: pissa and loftq are for linear layers of the decoder, and target_modules include %s; leave one of them out"
                .formatted(path));
      }
    }
    WeightInitializer initializer = new WeightInitializer(checkpoint, format, seed);
    return targets.entrySet().parallelStream()
        .collect(
            Collectors.toMap(
                Map.Entry::getKey,
                target -> initializer.module(target.getKey(), target.getValue(), initialization),
                (a, _) -> a,
                TreeMap::new));
  }

  /// What the base weights lose to updates that start as a part of them, for the loader.
  public static SortedMap<String, Subtracted> subtracted(
      LoraConfig lora, SortedMap<String, LoraModule> start) {
    SortedMap<String, Subtracted> parts = new TreeMap<>();
    if (lora.initialization() == LoraConfig.Initialization.PISSA) {
      start.forEach((path, module) ->
          parts.put(path, new Subtracted(module.a(), module.b(), module.adapted().scale())));
    }
    return parts;
  }

  private LoraModule module(
      String path, LoraConfig.Adapted adapted, LoraConfig.Initialization initialization) {
    Tensor weight = stored(path);
    float[] values = weight.toFloats();
    if (initialization == LoraConfig.Initialization.LOFTQ) {
      subtractQuantized(values);
    }
    int in = Math.toIntExact(weight.cols());
    int out = Math.toIntExact(weight.rows());
    TruncatedSvd svd = TruncatedSvd.of(values, in, adapted.rank(), seed);
    int rank = adapted.rank();
    float[] a = new float[Math.multiplyExact(rank, in)];
    float[] b = new float[Math.multiplyExact(out, rank)];
    for (int r = 0; r < svd.values().length; r++) {
      double root = Math.sqrt(svd.values()[r] / adapted.scale());
      for (int i = 0; i < in; i++) {
        a[r * in + i] = (float) (root * svd.right()[r][i]);
      }
      for (int o = 0; o < out; o++) {
        b[o * rank + r] = (float) (root * svd.left()[r][o]);
      }
    }
    return new LoraModule(
        adapted, Tensor.ofFloats(Shape.of(rank, in), a), Tensor.ofFloats(Shape.of(out, rank), b));
  }

  private Tensor stored(String path) {
    String name = path + ".weight";
    if (!checkpoint.contains(name)) {
      throw new InputException(
          "%s holds no tensor %s, which %s asks for"
              .formatted(checkpoint.fileOf(name), name, checkpoint.configFile()));
    }
    Tensor weight = checkpoint.tensor(name);
    if (weight.shape().rank() != 2 || !weight.dtype().isFloating()) {
      throw new InputException(
          "%s: tensor %s is %s %s, not a floating matrix"
              .formatted(checkpoint.fileOf(name), name, weight.dtype(), weight.shape()));
    }
    return weight;
  }

  /// `W − dq(NF4(W))` with the blocks and scales that the run loads.
  private void subtractQuantized(float[] values) {
    if (!(format instanceof WeightFormat.Nf4(int blockSize, boolean nested))) {
      throw new IllegalArgumentException("LoftQ on weights that are not quantised: " + format);
    }
    float[] scales = new float[Math.ceilDiv(values.length, blockSize)];
    for (int block = 0; block < scales.length; block++) {
      int from = block * blockSize;
      scales[block] = Nf4Codec.absmax(values, from, Math.min(blockSize, values.length - from));
    }
    float[] decoded = nested ? Nf4Codec.roundedScales(scales) : scales;
    float[] codebook = Nf4Codec.codebook();
    byte[] nibbles = new byte[blockSize];
    for (int block = 0; block < scales.length; block++) {
      int from = block * blockSize;
      int count = Math.min(blockSize, values.length - from);
      Nf4Codec.quantizeBlock(values, from, count, scales[block], nibbles, 0);
      for (int i = 0; i < count; i++) {
        values[from + i] -= codebook[nibbles[i]] * decoded[block];
      }
    }
  }
}
