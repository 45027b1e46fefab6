package dev.gatun.train;

import dev.gatun.io.ModelLoader;
import dev.gatun.io.WeightFormat;
import dev.gatun.model.ModelConfig;
import dev.gatun.model.ModelWeights;
import dev.gatun.nn.CausalLm;
import dev.gatun.nn.Limits;
import dev.gatun.nn.MemoryNeed;
import dev.gatun.nn.PlannedWeights;
import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.optim.GradientNorm;
import dev.gatun.quant.Nf4Codec;
import dev.gatun.tensor.DType;
import java.util.ArrayList;
import java.util.List;

/// The bytes of every arena of a run.
///
/// @param weightBytes what is copied or converted; weights used where the checkpoint is mapped take
///   none
/// @param batchBytes one micro-batch and its outputs
record RunMemory(MemoryPlan plan, long weightBytes, long batchBytes) {

  static RunMemory plan(TrainingInputs inputs, Backend backend, SftConfig config) {
    ModelConfig modelConfig = inputs.checkpoint().config();
    Limits limits = inputs.limits(config);
    long weightBytes = ModelLoader.plannedBytes(inputs.checkpoint(), backend, inputs.format());
    MemoryNeed need =
        CausalLm.memoryNeed(
            backend,
            modelConfig,
            planned(modelConfig, inputs.format()),
            inputs.training(),
            limits,
            TrainingRecipe.options(config.loop()));
    long flatCount = need.flatParameterCount();
    long optimizerBytes =
        TrainingRecipe.optimizerBytes(config.optimization(), flatCount)
            + GradientNorm.byteSize(backend, flatCount);
    long batchBytes = need.inputBytes() + TensorArena.sizeOf(DType.F32, 1);
    List<MemoryPlan.Line> lines = new ArrayList<>();
    lines.add(new MemoryPlan.Line("weights", "base model, copied or quantised", weightBytes));
    lines.add(
        new MemoryPlan.Line(
            "parameters", "trained: masters, gradients, copies", need.parameterBytes()));
    lines.add(new MemoryPlan.Line("optimizer", "state and gradient norm", optimizerBytes));
    lines.add(
        new MemoryPlan.Line(
            "activations",
            "%,d tokens a batch".formatted(limits.tokens()),
            need.activationBytes()));
    lines.add(new MemoryPlan.Line("tables", "rotary tables", need.tableBytes()));
    lines.add(new MemoryPlan.Line("batch", "one micro-batch", batchBytes));
    MemoryPlan plan = withBackend(lines, backend);
    return new RunMemory(plan, weightBytes, batchBytes);
  }

  /// What the backend itself takes counts on both sides, so that the total is what the device
  /// shows.
  private static MemoryPlan withBackend(List<MemoryPlan.Line> lines, Backend backend) {
    long reserved = backend.reservedBytes();
    long free = backend.memoryBytes();
    if (reserved > 0) {
      lines.add(
          new MemoryPlan.Line("runtime", "context, code, workspaces, other processes", reserved));
    }
    return new MemoryPlan(
        lines, free > Long.MAX_VALUE - reserved ? Long.MAX_VALUE : free + reserved);
  }

  /// The weights by shape and format alone.
  private static ModelWeights planned(ModelConfig config, WeightFormat format) {
    ModelConfig.Quantization stored = config.quantization();
    if (stored != null) {
      return PlannedWeights.nf4(config, config.dtype(), Nf4Codec.BLOCK, stored.nested());
    }
    return switch (format) {
      case WeightFormat.AsStored() -> PlannedWeights.dense(config, config.dtype());
      case WeightFormat.Nf4(int blockSize, boolean nested) ->
          PlannedWeights.nf4(config, config.dtype(), blockSize, nested);
    };
  }
}
