package dev.gatun.nn;

import dev.gatun.model.ModelConfig;
import dev.gatun.model.ModelWeights;
import dev.gatun.quant.Absmax;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.PlannedStorage;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.HashMap;
import java.util.Map;

/// Weights without content: shapes, types and sizes of a checkpoint that is not loaded yet, for
/// [CausalLm#memoryNeed].
public final class PlannedWeights {
  private static final int NESTED_BLOCK = 256;

  private PlannedWeights() {}

  /// Everything unquantised, of one type.
  public static ModelWeights dense(ModelConfig config, DType type) {
    return weights(config, type, (out, in) -> new Weight.Dense(tensor(type, out, in)));
  }

  /// Decoder linears in NF4, the rest of type `type`.
  ///
  /// @param nested whether the scales are quantised too
  public static ModelWeights nf4(ModelConfig config, DType type, int blockSize, boolean nested) {
    return weights(config, type, (out, in) -> nf4(out, in, type, blockSize, nested));
  }

  private interface LinearFormat {
    Weight weight(long out, long in);
  }

  private static ModelWeights weights(ModelConfig config, DType type, LinearFormat format) {
    Map<String, Weight> linears = new HashMap<>();
    Map<String, Tensor> tensors = new HashMap<>();
    for (ModuleTree.Linear linear : ModuleTree.linears(config)) {
      linears.put(linear.path(), format.weight(linear.out(), linear.in()));
    }
    for (Parameter.Spec spec : ModuleTree.parameters(config)) {
      switch (spec.kind()) {
        case HEAD ->
            linears.put(ModuleTree.HEAD, new Weight.Dense(tensor(type, spec.shape().toArray())));
        case EMBEDDING, NORM, BIAS ->
            tensors.put(spec.name(), tensor(type, spec.shape().toArray()));
        case WEIGHT, LORA_A, LORA_B, LORA_MAGNITUDE, TOKENS -> {
          // Linears are above; a checkpoint has no updates.
        }
      }
    }
    return new ModelWeights(linears, tensors);
  }

  private static Weight nf4(long out, long in, DType type, int blockSize, boolean nested) {
    long blocks = Weight.Nf4.blockCount(out * in, blockSize);
    Absmax absmax =
        nested
            ? new Absmax.Nested(
                tensor(DType.U8, blocks),
                tensor(DType.F32, Weight.Nf4.blockCount(blocks, NESTED_BLOCK)),
                tensor(DType.F32, 256),
                0,
                NESTED_BLOCK)
            : new Absmax.Plain(tensor(DType.F32, blocks));
    return new Weight.Nf4(tensor(DType.U8, (out * in + 1) / 2), absmax, out, in, blockSize, type);
  }

  private static Tensor tensor(DType type, long... dims) {
    return PlannedStorage.tensor(type, Shape.of(dims));
  }
}
