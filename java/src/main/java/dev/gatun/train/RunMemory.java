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
/// @param inputBytes one micro-batch
/// @param outputBytes the outputs of an update's micro-batches, and the factor of their losses
record RunMemory(MemoryPlan plan, long weightBytes, long inputBytes, long outputBytes) {

  static RunMemory plan(TrainingInputs inputs, Backend backend, SftConfig config) {
    ModelConfig modelConfig = inputs.checkpoint().config();
    Limits limits = inputs.limits(config);
    long weightBytes = ModelLoader.plannedBytes(inputs.checkpoint(), backend, inputs.format());
    MemoryNeed need =
        CausalLm.memoryNeed(
            backend,
            modelConfig,
            planned(modelConfig, inputs.format(), backend),
            inputs.training(),
            limits,
            TrainingRecipe.options(config.loop(), modelConfig));
    long flatCount = need.flatParameterCount();
    long optimizerBytes =
        TrainingRecipe.optimizerBytes(config.optimization(), backend, need)
            + GradientNorm.byteSize(backend, flatCount);
    long outputBytes =
        config.loop().gradientAccumulationSteps() * need.outputBytes()
            + TensorArena.sizeOf(DType.F32, 1);
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
    lines.add(
        new MemoryPlan.Line(
            "batch",
            "two micro-batches and an update's losses",
            2 * need.inputBytes() + outputBytes));
    MemoryPlan plan = withBackend(lines, need.offloadBytes(), backend);
    return new RunMemory(plan, weightBytes, need.inputBytes(), outputBytes);
  }

  /// What the backend itself takes counts on both sides, so that the total is what the device
  /// shows.
  private static MemoryPlan withBackend(
      List<MemoryPlan.Line> lines, long offloadBytes, Backend backend) {
    boolean onHost = backend.usesHostMemory();
    if (onHost && offloadBytes > 0) {
      lines.add(new MemoryPlan.Line("offload", "layer inputs", offloadBytes));
    }
    long reserved = backend.reservedBytes();
    long free = backend.memoryBytes();
    if (reserved > 0) {
      lines.add(
          new MemoryPlan.Line("runtime", "context, code, workspaces, other processes", reserved));
    }
    return new MemoryPlan(
        lines,
        free > Long.MAX_VALUE - reserved ? Long.MAX_VALUE : free + reserved,
        new MemoryPlan.Host(onHost ? 0 : offloadBytes, backend.offloadMemoryBytes()));
  }

  /// The weights by shape and format alone.
  private static ModelWeights planned(ModelConfig config, WeightFormat format, Backend backend) {
    ModelConfig.Quantization stored = config.quantization();
    DType type = ModelLoader.denseType(config.dtype(), format, backend);
    if (stored != null) {
      return PlannedWeights.nf4(config, type, Nf4Codec.BLOCK, stored.nested());
    }
    return switch (format) {
      case WeightFormat.AsStored(), WeightFormat.Operand() -> PlannedWeights.dense(config, type);
      case WeightFormat.Nf4(int blockSize, boolean nested) ->
          PlannedWeights.nf4(config, type, blockSize, nested);
    };
  }
}
