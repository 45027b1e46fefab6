package dev.gatun.io;

import dev.gatun.InputException;
import dev.gatun.model.ModelWeights;
import dev.gatun.model.ParameterLayout;
import dev.gatun.op.Backend;
import dev.gatun.op.Nf4Layout;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/// Brings a checkpoint's weights into a backend's memory, one tensor at a time. Before the first
/// byte moves, every tensor that the configuration asks for is known to be there with the right
/// shape and type, and no tensor is left over.
///
/// On a backend that uses host memory, what need not be converted stays where it is, in the mapped
/// files: keep the [Checkpoint] open as long as the weights are used.
public final class ModelLoader {
  private final Checkpoint checkpoint;
  private final Backend backend;
  private final Map<String, Subtracted> subtracted;
  private final Map<String, LinearPlan> linears = new LinkedHashMap<>();
  private final Map<String, TensorPlan> tensors = new LinkedHashMap<>();

  /// How one linear layer's weight is loaded.
  private sealed interface LinearPlan {
    long arenaBytes();

    /// What is needed besides while it is loaded.
    long scratchBytes();

    record Stored(TensorPlan tensor) implements LinearPlan {
      @Override
      public long arenaBytes() {
        return tensor.arenaBytes();
      }

      @Override
      public long scratchBytes() {
        return tensor.scratchBytes();
      }
    }

    /// @param source planned for the scratch arena
    record Quantized(TensorPlan source, Nf4Layout layout) implements LinearPlan {
      @Override
      public long arenaBytes() {
        return layout.arenaBytes();
      }

      @Override
      public long scratchBytes() {
        long blocks = Weight.Nf4.blockCount(layout.out() * layout.in(), layout.blockSize());
        return source.arenaBytes() + TensorArena.sizeOf(DType.F32, blocks);
      }
    }

    record Packed(PackedWeight weight) implements LinearPlan {
      @Override
      public long arenaBytes() {
        return weight.arenaBytes();
      }

      @Override
      public long scratchBytes() {
        return 0;
      }
    }
  }

  private ModelLoader(
      Checkpoint checkpoint,
      Backend backend,
      WeightFormat format,
      Map<String, Subtracted> subtracted) {
    this.checkpoint = checkpoint;
    this.backend = backend;
    this.subtracted = subtracted;
    Set<String> used = new HashSet<>();
    ParameterLayout layout = ParameterLayout.of(checkpoint.config());
    layout
        .tensors()
        .forEach((name, shape) -> {
          Tensor stored = required(name, shape);
          used.add(name);
          tensors.put(
              name,
              name.equals(ParameterLayout.EMBEDDING)
                  ? table(stored, format)
                  : TensorPlan.computable(stored, backend));
        });
    layout.linears().forEach((path, shape) -> linears.put(path, plan(path, shape, format, used)));
    refuseLeftovers(used);
  }

  /// Exact bytes that [#load] takes from its arena.
  ///
  /// @throws InputException if the tensors do not fit the configuration
  public static long plannedBytes(Checkpoint checkpoint, Backend backend, WeightFormat format) {
    return plannedBytes(checkpoint, backend, format, Map.of());
  }

  /// The same where some weights lose a part.
  public static long plannedBytes(
      Checkpoint checkpoint,
      Backend backend,
      WeightFormat format,
      Map<String, Subtracted> subtracted) {
    ModelLoader loader = new ModelLoader(checkpoint, backend, format, subtracted);
    return loader.tensors.values().stream().mapToLong(TensorPlan::arenaBytes).sum()
        + loader.linears.values().stream().mapToLong(LinearPlan::arenaBytes).sum();
  }

  /// Loads all weights.
  ///
  /// @param arena where what is not used in place goes; [#plannedBytes] of it are needed
  /// @throws InputException naming file and tensor if the tensors do not fit the configuration
  public static ModelWeights load(
      Checkpoint checkpoint, Backend backend, TensorArena arena, WeightFormat format) {
    return load(checkpoint, backend, arena, format, Map.of());
  }

  /// The same where some weights lose a part before they become what `format` says.
  ///
  /// @param subtracted by path of a linear layer that is not stored in 4 bit
  public static ModelWeights load(
      Checkpoint checkpoint,
      Backend backend,
      TensorArena arena,
      WeightFormat format,
      Map<String, Subtracted> subtracted) {
    return new ModelLoader(checkpoint, backend, format, subtracted).load(arena);
  }

  private ModelWeights load(TensorArena arena) {
    Map<String, Tensor> placedTensors = new LinkedHashMap<>();
    Map<String, Weight> placedLinears = new LinkedHashMap<>();
    try (TensorArena scratch = backend.arena("loading scratch", scratchBytes())) {
      tensors.forEach((name, plan) -> placedTensors.put(name, plan.place(backend, arena, scratch)));
      linears.forEach((path, plan) -> placedLinears.put(path, place(plan, arena, scratch)));
      backend.synchronize();
    }
    return new ModelWeights(placedLinears, placedTensors);
  }

  private Weight place(LinearPlan plan, TensorArena arena, TensorArena scratch) {
    return switch (plan) {
      case LinearPlan.Stored(TensorPlan tensor) ->
          new Weight.Dense(tensor.place(backend, arena, scratch));
      case LinearPlan.Packed(PackedWeight weight) -> weight.place(backend, arena);
      case LinearPlan.Quantized(TensorPlan source, Nf4Layout layout) -> {
        long mark = scratch.mark();
        Weight weight =
            backend
                .quant()
                .quantize(layout.allocate(arena), source.place(backend, scratch, scratch), scratch);
        scratch.release(mark);
        yield weight;
      }
    };
  }

  private long scratchBytes() {
    long most = 0;
    for (TensorPlan plan : tensors.values()) {
      most = Math.max(most, plan.scratchBytes());
    }
    for (LinearPlan plan : linears.values()) {
      most = Math.max(most, plan.scratchBytes());
    }
    return most + TensorArena.ALIGNMENT;
  }

  /// The embedding or the head. Trained rows that take the place of stored ones must not lose
  /// precision there that the backend computes with.
  private TensorPlan table(Tensor stored, WeightFormat format) {
    if (!checkpoint.rowsChange()) {
      return operand(stored, format);
    }
    boolean single = backend.activationType() == DType.F32;
    DType type = single ? DType.F32 : denseType(stored.dtype(), format, backend);
    return TensorPlan.rounded(stored, type, backend).copied();
  }

  private TensorPlan operand(Tensor stored, WeightFormat format) {
    return TensorPlan.rounded(stored, denseType(stored.dtype(), format, backend), backend);
  }

  /// Type that a matrix of type `stored` has once loaded, if it is not quantised.
  public static DType denseType(DType stored, WeightFormat format, Backend backend) {
    DType type = backend.activationType();
    return format instanceof WeightFormat.AsStored || type == DType.F32 ? stored : type;
  }

  private LinearPlan plan(String path, Shape shape, WeightFormat format, Set<String> used) {
    String name = path + ".weight";
    if (PackedWeight.isStored(checkpoint, name)) {
      PackedWeight packed = PackedWeight.read(checkpoint, name, shape, backend);
      used.addAll(packed.names());
      return new LinearPlan.Packed(packed);
    }
    Tensor stored = required(name, shape);
    used.add(name);
    return switch (format) {
      case WeightFormat.Nf4(int blockSize, boolean doubleQuant)
          when !path.equals(ParameterLayout.HEAD) ->
          new LinearPlan.Quantized(
              TensorPlan.asStored(stored, backend).less(subtracted.get(path)),
              new Nf4Layout(shape.dim(0), shape.dim(1), blockSize, doubleQuant, stored.dtype()));
      case WeightFormat.Nf4 _, WeightFormat.Operand _, WeightFormat.AsStored _ ->
          new LinearPlan.Stored(
              (path.equals(ParameterLayout.HEAD) ? table(stored, format) : operand(stored, format))
                  .less(subtracted.get(path)));
    };
  }

  private Tensor required(String name, Shape shape) {
    if (!checkpoint.contains(name)) {
      throw new InputException(
          "%s holds no tensor %s, which %s asks for"
              .formatted(checkpoint.fileOf(name), Quoted.of(name), checkpoint.configFile()));
    }
    Tensor tensor = checkpoint.tensor(name);
    if (!tensor.shape().equals(shape)) {
      throw wrong(
          name,
          "has shape %s, but %s asks for %s"
              .formatted(tensor.shape(), checkpoint.configFile(), shape));
    }
    if (tensor.dtype() != DType.F32
        && tensor.dtype() != DType.BF16
        && tensor.dtype() != DType.F16) {
      throw wrong(name, "is %s, but weights are F32, BF16 or F16".formatted(tensor.dtype()));
    }
    return tensor;
  }

  /// A tensor that nothing uses means that the configuration describes another model.
  private void refuseLeftovers(Set<String> used) {
    for (String name : checkpoint.names()) {
      boolean harmless =
          name.endsWith(".rotary_emb.inv_freq")
              || (name.equals("lm_head.weight") && checkpoint.config().tiedEmbeddings());
      if (!harmless && !used.contains(name)) {
        throw wrong(
            name, "is no part of the model that %s describes".formatted(checkpoint.configFile()));
      }
    }
  }

  private InputException wrong(String name, String problem) {
    return new InputException(
        "%s: tensor %s %s".formatted(checkpoint.fileOf(name), Quoted.of(name), problem));
  }
}
