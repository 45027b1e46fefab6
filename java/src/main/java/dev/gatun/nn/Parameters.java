package dev.gatun.nn;

import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/// All parameters a model holds, laid out one after the other in three flat buffers of one arena:
/// F32 masters, F32 gradients, and compute copies. The optimiser and the gradient norm run over
/// ranges of those buffers, a launch each.
///
/// Every parameter starts at a multiple of [#ALIGNMENT] elements; the gaps are zero in every buffer
/// and stay so under any optimiser whose update of a zero gradient, moment and parameter is zero.
public final class Parameters {
  /// Elements: a block of 8-bit optimiser state, so that blocks never straddle parameters.
  public static final int ALIGNMENT = 256;

  private final Backend backend;
  private final Map<String, Parameter> byName;
  private final long count;
  private final Tensor masters;
  private final @Nullable Tensor gradients;
  private final Tensor computeCopies;

  private Parameters(
      Backend backend,
      List<Parameter.Spec> specs,
      boolean trainable,
      TensorArena arena,
      long flatCount) {
    this.backend = backend;
    DType type = backend.activationType();
    masters = zeroed(arena, DType.F32, flatCount);
    gradients = trainable ? zeroed(arena, DType.F32, flatCount) : null;
    computeCopies = type == DType.F32 ? masters : zeroed(arena, type, flatCount);
    byName = new LinkedHashMap<>();
    long offset = 0;
    long elements = 0;
    for (Parameter.Spec spec : specs) {
      byName.put(spec.name(), view(spec, offset));
      offset += padded(spec.shape().count());
      elements += spec.shape().count();
    }
    count = elements;
  }

  /// Lays out zero-filled parameters in `arena`, by kind and within a kind in the order given: of
  /// projections that share an input, the factors that are used together lie together.
  ///
  /// @param trainable whether there are gradients
  public static Parameters allocate(
      Backend backend, List<Parameter.Spec> specs, boolean trainable, TensorArena arena) {
    List<Parameter.Spec> sorted = new ArrayList<>(specs);
    sorted.sort(Comparator.comparing(Parameter.Spec::kind));
    return new Parameters(backend, sorted, trainable, arena, flatCount(sorted));
  }

  /// Bytes that [#allocate] takes.
  public static long byteSize(Backend backend, List<Parameter.Spec> specs, boolean trainable) {
    long count = flatCount(specs);
    DType type = backend.activationType();
    return TensorArena.sizeOf(DType.F32, count) * (trainable ? 2 : 1)
        + (type == DType.F32 ? 0 : TensorArena.sizeOf(type, count));
  }

  private static long flatCount(List<Parameter.Spec> specs) {
    return specs.stream().mapToLong(spec -> padded(spec.shape().count())).sum();
  }

  private static long padded(long count) {
    return (count + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  }

  private Tensor zeroed(TensorArena arena, DType type, long flatCount) {
    Tensor tensor = arena.allocate(type, Shape.of(flatCount));
    backend.tensor().zero(tensor);
    return tensor;
  }

  private Parameter view(Parameter.Spec spec, long offset) {
    return new Parameter(
        spec.name(),
        spec.kind(),
        spec.shape(),
        offset,
        slice(masters, offset, spec.shape()),
        gradients == null ? null : slice(gradients, offset, spec.shape()),
        slice(computeCopies, offset, spec.shape()));
  }

  private static Tensor slice(Tensor flat, long offset, Shape shape) {
    return flat.rows(offset, shape.count()).reshape(shape.toArray());
  }

  /// All parameters in the order of the flat buffers.
  public List<Parameter> all() {
    return List.copyOf(byName.values());
  }

  /// The parameter of that name.
  ///
  /// @throws IllegalArgumentException if there is none
  public Parameter named(String name) {
    Parameter parameter = byName.get(name);
    if (parameter == null) {
      throw new IllegalArgumentException("no parameter " + name);
    }
    return parameter;
  }

  @Nullable Parameter find(String name) {
    return byName.get(name);
  }

  /// Number of elements, gaps left out.
  public long count() {
    return count;
  }

  /// Whether there are gradients.
  public boolean isTrainable() {
    return gradients != null;
  }

  /// All masters: F32, flat, gaps included.
  public Tensor masters() {
    return masters;
  }

  /// All gradients, laid out as the masters.
  public Tensor gradients() {
    if (gradients == null) {
      throw new IllegalStateException("a frozen model has no gradients");
    }
    return gradients;
  }

  /// All compute copies, laid out as the masters; the masters themselves where activations are F32.
  public Tensor computeCopies() {
    return computeCopies;
  }

  /// Whether the compute copies are tensors of their own.
  public boolean hasComputeCopies() {
    return computeCopies.dtype() != DType.F32;
  }

  /// Sets every gradient to zero.
  public void zeroGradients() {
    backend.tensor().zero(gradients());
  }

  /// Host copies of the masters by name, F32. Waits for the backend.
  public Map<String, Tensor> download() {
    Tensor host = backend.download(masters);
    Map<String, Tensor> values = new LinkedHashMap<>();
    byName.forEach((name, p) -> values.put(name, slice(host, p.offset(), p.shape())));
    return values;
  }

  /// Host copies of the gradients by name, F32. Waits for the backend.
  public Map<String, Tensor> downloadGradients() {
    Tensor host = backend.download(gradients());
    Map<String, Tensor> values = new LinkedHashMap<>();
    byName.forEach((name, p) -> values.put(name, slice(host, p.offset(), p.shape())));
    return values;
  }

  /// Replaces master and compute copy of one parameter.
  ///
  /// @param value host tensor of the parameter's shape, any floating type
  public void upload(String name, Tensor value) {
    Parameter parameter = named(name);
    if (!value.shape().equals(parameter.shape())) {
      throw new IllegalArgumentException(
          name + " has shape " + parameter.shape() + ", not " + value.shape());
    }
    backend.upload(parameter.master(), Tensor.ofFloats(value.shape(), value.toFloats()));
    refreshCompute(parameter);
  }

  /// Replaces master and compute copy of one parameter by a tensor in the backend's memory.
  void copyFrom(String name, Tensor value) {
    Parameter parameter = named(name);
    backend.tensor().copy(parameter.master(), value.reshape(parameter.shape().toArray()));
    refreshCompute(parameter);
  }

  /// Replaces some rows of a parameter by a tensor in the backend's memory.
  void copyRows(Parameter parameter, long first, Tensor rows) {
    backend.tensor().copy(parameter.master().rows(first, rows.rows()), rows);
    refreshCompute(parameter);
  }

  private void refreshCompute(Parameter parameter) {
    if (hasComputeCopies()) {
      backend.tensor().copy(parameter.compute(), parameter.master());
    }
  }

  /// The first parameter whose master is NaN or infinite. Slow: one wait each.
  ///
  /// @param flag I32 `[1]`
  Optional<String> firstNonFiniteMaster(Tensor flag) {
    return byName.values().stream()
        .filter(parameter -> NonFinite.found(backend, flag, parameter.master()))
        .findFirst()
        .map(parameter -> "parameter " + parameter.name());
  }

  /// The first parameter whose gradient is NaN or infinite. Slow: one wait each.
  ///
  /// @param flag I32 `[1]`
  Optional<String> firstNonFiniteGradient(Tensor flag) {
    for (Parameter parameter : byName.values()) {
      Tensor gradient = parameter.gradient();
      if (gradient != null && NonFinite.found(backend, flag, gradient)) {
        return Optional.of("gradient of " + parameter.name());
      }
    }
    return Optional.empty();
  }
}
