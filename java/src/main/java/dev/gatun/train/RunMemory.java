package dev.gatun.train;

import dev.gatun.generate.Decoder;
import dev.gatun.io.ModelLoader;
import dev.gatun.io.WeightFormat;
import dev.gatun.model.ModelConfig;
import dev.gatun.model.ModelWeights;
import dev.gatun.nn.CausalLm;
import dev.gatun.nn.CheckpointPlanner;
import dev.gatun.nn.CheckpointPolicy;
import dev.gatun.nn.Checkpointing;
import dev.gatun.nn.LayerCheckpoints;
import dev.gatun.nn.Limits;
import dev.gatun.nn.MemoryNeed;
import dev.gatun.nn.Options;
import dev.gatun.nn.PlannedWeights;
import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.optim.GradientNorm;
import dev.gatun.quant.Nf4Codec;
import dev.gatun.tensor.DType;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/// The bytes of every arena of a run, and what its layers keep.
///
/// @param options how the model is built
/// @param parameterCount elements of all that is trained
/// @param weightBytes what is copied or converted; weights used where the checkpoint is mapped take
///   none
/// @param inputBytes one micro-batch
/// @param outputBytes the outputs of an update's micro-batches, and the factor of their losses
record RunMemory(
    MemoryPlan plan,
    Options options,
    long parameterCount,
    long weightBytes,
    long inputBytes,
    long outputBytes) {

  static final String CACHE = "kv-cache";

  private static final int ACTIVATIONS = 3; // their line in the table

  static RunMemory plan(TrainingInputs inputs, Backend backend, SftConfig config) {
    return plan(inputs, backend, config, inputs.limits(config), backend.memoryBytes());
  }

  /// @param limits of the batches
  /// @param available what arenas can have in all; `Long.MAX_VALUE` if that is not known
  static RunMemory plan(
      TrainingInputs inputs, Backend backend, SftConfig config, Limits limits, long available) {
    ModelConfig modelConfig = inputs.checkpoint().config();
    Function<Checkpointing, MemoryNeed> needs = needs(inputs, backend, config, limits);
    // All but activations is the same whatever layers keep.
    MemoryNeed any = needs.apply(CheckpointPolicy.PER_LAYER);
    long weightBytes =
        ModelLoader.plannedBytes(
            inputs.checkpoint(), backend, inputs.format(), inputs.subtracted());
    long outputBytes =
        config.loop().gradientAccumulationSteps() * any.outputBytes()
            + TensorArena.sizeOf(DType.F32, 1);
    List<MemoryPlan.Line> lines = new ArrayList<>();
    lines.add(new MemoryPlan.Line("weights", "base model, copied or quantised", weightBytes));
    lines.add(
        new MemoryPlan.Line(
            "parameters", "trained: masters, gradients, copies", any.parameterBytes()));
    TrainingRecipe.OptimizerMemory optimizer =
        TrainingRecipe.optimizerMemory(config.optimization(), backend, any);
    long paged = backend.usesHostMemory() ? 0 : optimizer.pagedBytes();
    lines.add(
        new MemoryPlan.Line(
            "optimizer",
            paged == 0 ? "state and gradient norm" : "gradient norm; the state is in host memory",
            optimizer.bytes() - paged + GradientNorm.byteSize(backend, any.flatParameterCount())));
    lines.add(new MemoryPlan.Line("tables", "rotary tables", any.tableBytes()));
    lines.add(
        new MemoryPlan.Line(
            "batch",
            "two micro-batches and an update's losses",
            2 * any.inputBytes() + outputBytes));
    inputs.room().ifPresent(room -> lines.add(cache(room, backend, modelConfig)));
    Limit limit = Limit.of(available, config.loop().memoryLimit());
    Checkpointing checkpointing =
        TrainingRecipe.checkpointing(config.loop())
            .orElseGet(() ->
                CheckpointPlanner.plan(
                    modelConfig, limits, limit.left(lines, backend, paged), needs));
    MemoryNeed need = needs.apply(checkpointing);
    String holds = "%,d tokens a batch".formatted(limits.tokens());
    if (checkpointing instanceof LayerCheckpoints chosen) {
      holds += "; checkpointing: " + chosen;
    }
    lines.add(ACTIVATIONS, new MemoryPlan.Line("activations", holds, need.activationBytes()));
    if (need.decodedBytes() > 0) {
      lines.add(
          ACTIVATIONS,
          new MemoryPlan.Line("decoded weights", "kept in 16 bit besides", need.decodedBytes()));
    }
    MemoryPlan plan = withBackend(lines, new Pinned(need.offloadBytes(), paged), backend, limit);
    return new RunMemory(
        plan,
        TrainingRecipe.options(config.loop(), modelConfig, checkpointing),
        need.parameterCount(),
        weightBytes,
        need.inputBytes(),
        outputBytes);
  }

  /// The line of the key/value cache.
  static MemoryPlan.Line cache(Decoder.Room room, Backend backend, ModelConfig model) {
    return new MemoryPlan.Line(
        CACHE,
        "%,d answers at a time, %,d tokens each".formatted(room.slots(), room.capacity()),
        room.cacheBytes(backend, model));
  }

  /// What the model takes, by what its layers keep.
  static Function<Checkpointing, MemoryNeed> needs(
      TrainingInputs inputs, Backend backend, SftConfig config, Limits limits) {
    ModelConfig model = inputs.checkpoint().config();
    ModelWeights weights = planned(model, inputs.format(), backend);
    return kept ->
        CausalLm.memoryNeed(
            backend,
            model,
            weights,
            inputs.training(),
            limits,
            TrainingRecipe.options(config.loop(), model, kept));
  }

  /// What arenas may take.
  ///
  /// @param set whether the configuration says so, not the device
  record Limit(long bytes, boolean set) {
    static Limit of(long free, @Nullable Long set) {
      return set == null || set >= free ? new Limit(free, false) : new Limit(set, true);
    }

    /// What is left for activations. Of the host's memory half may be pinned: pages that the system
    /// cannot take back must not be most of it.
    ///
    /// @param paged bytes of it that the optimiser's state takes
    CheckpointPlanner.Budget left(List<MemoryPlan.Line> lines, Backend backend, long paged) {
      long taken = lines.stream().mapToLong(MemoryPlan.Line::bytes).sum();
      return new CheckpointPlanner.Budget(
          bytes == Long.MAX_VALUE ? bytes : bytes - taken,
          backend.usesHostMemory() ? 0 : Math.max(0, backend.offloadMemoryBytes() / 2 - paged));
    }
  }

  /// Bytes in host memory.
  ///
  /// @param checkpoints inputs of layers that are offloaded
  /// @param state of the optimiser, where it is paged
  record Pinned(long checkpoints, long state) {}

  /// What the backend itself takes counts on both sides, so that the total is what the device
  /// shows.
  static MemoryPlan withBackend(
      List<MemoryPlan.Line> lines, Pinned pinned, Backend backend, Limit limit) {
    boolean onHost = backend.usesHostMemory();
    if (onHost && pinned.checkpoints() > 0) {
      lines.add(new MemoryPlan.Line("offload", "checkpoints of layers", pinned.checkpoints()));
    }
    long reserved = backend.reservedBytes();
    if (reserved > 0) {
      lines.add(
          new MemoryPlan.Line("runtime", "context, code, workspaces, other processes", reserved));
    }
    return new MemoryPlan(
        lines,
        new MemoryPlan.Budget(
            limit.bytes() > Long.MAX_VALUE - reserved ? Long.MAX_VALUE : limit.bytes() + reserved,
            limit.set()),
        new MemoryPlan.Host(
            onHost ? 0 : pinned.checkpoints(), pinned.state(), backend.offloadMemoryBytes()));
  }

  /// The weights by shape and format alone.
  static ModelWeights planned(ModelConfig config, WeightFormat format, Backend backend) {
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
