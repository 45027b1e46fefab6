package dev.gatun.train;

import dev.gatun.generate.Decoder;
import dev.gatun.generate.ModelSource;
import dev.gatun.io.ModelLoader;
import dev.gatun.io.WeightFormat;
import dev.gatun.model.ModelConfig;
import dev.gatun.nn.CausalLm;
import dev.gatun.nn.Limits;
import dev.gatun.nn.MemoryNeed;
import dev.gatun.nn.Options;
import dev.gatun.op.Backend;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The bytes of every arena of an evaluation without training.
final class EvaluationMemory {
  private EvaluationMemory() {}

  /// @param source opened, its weights not read
  /// @param limits of the batches and of the answers
  /// @param room of the answers, or null
  /// @param memoryLimit see [SftConfig.Loop#memoryLimit]
  static MemoryPlan plan(
      ModelSource source,
      Backend backend,
      WeightFormat format,
      Limits limits,
      Options options,
      Decoder.@Nullable Room room,
      @Nullable Long memoryLimit) {
    ModelConfig model = source.checkpoint().config();
    MemoryNeed need =
        CausalLm.memoryNeed(
            backend,
            model,
            RunMemory.planned(model, format, backend),
            source.updates(),
            limits,
            options);
    List<MemoryPlan.Line> lines = new ArrayList<>();
    lines.add(
        new MemoryPlan.Line(
            "weights",
            "base model, copied or quantised",
            ModelLoader.plannedBytes(source.checkpoint(), backend, format)));
    lines.add(new MemoryPlan.Line("parameters", "the adapter", need.parameterBytes()));
    lines.add(
        new MemoryPlan.Line(
            "activations",
            "%,d tokens a batch".formatted(limits.tokens()),
            need.activationBytes()));
    lines.add(new MemoryPlan.Line("tables", "rotary tables", need.tableBytes()));
    lines.add(
        new MemoryPlan.Line(
            "batch", "two batches and their losses", 2 * need.inputBytes() + need.outputBytes()));
    if (room != null) {
      lines.add(RunMemory.cache(room, backend, model));
    }
    return RunMemory.withBackend(
        lines,
        new RunMemory.Pinned(0, 0),
        backend,
        RunMemory.Limit.of(backend.memoryBytes(), memoryLimit));
  }
}
