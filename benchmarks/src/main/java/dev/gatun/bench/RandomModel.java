package dev.gatun.bench;

import dev.gatun.model.ModelConfig;
import dev.gatun.model.ModelWeights;
import dev.gatun.model.ParameterLayout;
import dev.gatun.op.Backend;
import dev.gatun.op.Nf4Layout;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Nf4Codec;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/// Random weights of a model in a backend's memory, without a checkpoint: decoder linears in double
/// NF4, embedding and head in BF16, norms neutral.
final class RandomModel {
  private static final double DEVIATION = 0.02;

  private final Backend backend;
  private final RandomPool values;
  private final ParameterLayout layout;

  private RandomModel(Backend backend, ModelConfig config, RandomPool values) {
    this.backend = backend;
    this.values = values;
    this.layout = ParameterLayout.of(config);
  }

  private static Nf4Layout packed(Shape shape) {
    return new Nf4Layout(shape.dim(0), shape.dim(1), Nf4Codec.BLOCK, true, DType.BF16);
  }

  /// Bytes that [#create] takes from its arena.
  static long byteSize(Backend backend, ModelConfig config) {
    ParameterLayout layout = ParameterLayout.of(config);
    long bytes = 0;
    for (Map.Entry<String, Shape> tensor : layout.tensors().entrySet()) {
      bytes += TensorArena.sizeOf(type(backend, tensor.getKey()), tensor.getValue().count());
    }
    for (Map.Entry<String, Shape> linear : layout.linears().entrySet()) {
      bytes +=
          linear.getKey().equals(ParameterLayout.HEAD)
              ? TensorArena.sizeOf(DType.BF16, linear.getValue().count())
              : packed(linear.getValue()).arenaBytes();
    }
    return bytes;
  }

  /// Makes the weights in `arena`.
  static ModelWeights create(Backend backend, ModelConfig config, TensorArena arena) {
    try (RandomPool values = new RandomPool(backend, DEVIATION)) {
      return new RandomModel(backend, config, values).create(arena);
    }
  }

  private ModelWeights create(TensorArena arena) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    layout
        .tensors()
        .forEach((name, shape) ->
            tensors.put(
                name,
                name.equals(ParameterLayout.EMBEDDING)
                    ? dense(arena, shape)
                    : constant(arena, name, shape)));
    Map<String, Weight> linears = new LinkedHashMap<>();
    long largest = layout.linears().values().stream().mapToLong(Shape::count).max().orElse(0);
    long scratchBytes =
        TensorArena.sizeOf(DType.BF16, largest)
            + TensorArena.sizeOf(DType.F32, Weight.Nf4.blockCount(largest, Nf4Codec.BLOCK));
    try (TensorArena scratch = backend.arena("quantisation", scratchBytes)) {
      layout
          .linears()
          .forEach((path, shape) ->
              linears.put(
                  path,
                  path.equals(ParameterLayout.HEAD)
                      ? new Weight.Dense(dense(arena, shape))
                      : quantized(arena, shape, scratch)));
      backend.synchronize();
    }
    return new ModelWeights(linears, tensors);
  }

  private static DType type(Backend backend, String name) {
    return name.equals(ParameterLayout.EMBEDDING) ? DType.BF16 : backend.activationType();
  }

  private Tensor constant(TensorArena arena, String name, Shape shape) {
    float[] filled = new float[Math.toIntExact(shape.count())];
    Arrays.fill(filled, name.endsWith(".bias") ? 0 : 1);
    Tensor tensor = arena.allocate(type(backend, name), shape);
    backend.upload(tensor, Tensor.ofRounded(tensor.dtype(), shape, filled));
    return tensor;
  }

  private Tensor dense(TensorArena arena, Shape shape) {
    Tensor tensor = arena.allocate(DType.BF16, shape);
    values.fill(tensor);
    return tensor;
  }

  private Weight quantized(TensorArena arena, Shape shape, TensorArena scratch) {
    long mark = scratch.mark();
    Tensor source = dense(scratch, shape);
    Weight weight = backend.quant().quantize(packed(shape).allocate(arena), source, scratch);
    scratch.release(mark);
    return weight;
  }
}
