package dev.gatun.optim;

import dev.gatun.nn.Parameters;
import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// An optimiser's F32 state: flat buffers of the layout of the parameters, each under a name.
final class State implements AutoCloseable {
  private final Backend backend;
  private final Parameters parameters;
  private final TensorArena arena;
  private final Map<String, Tensor> buffers = new LinkedHashMap<>();

  State(Backend backend, Parameters parameters, List<String> kinds, StatePlace place) {
    this.backend = backend;
    this.parameters = parameters;
    long count = parameters.masters().count();
    arena = place.arena(backend, "optimizer", byteSize(count, kinds.size()));
    for (String kind : kinds) {
      Tensor buffer = arena.allocate(DType.F32, Shape.of(count));
      backend.tensor().zero(buffer);
      buffers.put(kind, buffer);
    }
  }

  static long byteSize(long flatCount, int kinds) {
    return kinds * TensorArena.sizeOf(DType.F32, flatCount);
  }

  /// The part of buffer `kind` that a range covers.
  Tensor part(String kind, ParameterGroup.Range range) {
    Tensor buffer = buffers.get(kind);
    if (buffer == null) {
      throw new IllegalArgumentException("no state " + kind);
    }
    return part(buffer, range);
  }

  static Tensor part(Tensor flat, ParameterGroup.Range range) {
    return flat.rows(range.offset(), range.count());
  }

  /// The part of the compute copies that a range covers; null where they are the masters.
  @Nullable Tensor computePart(ParameterGroup.Range range) {
    return computePart(parameters, range);
  }

  static @Nullable Tensor computePart(Parameters parameters, ParameterGroup.Range range) {
    return parameters.hasComputeCopies() ? part(parameters.computeCopies(), range) : null;
  }

  Map<String, Tensor> download() {
    Map<String, Tensor> state = new LinkedHashMap<>();
    buffers.forEach((kind, buffer) -> {
      Tensor host = backend.download(buffer);
      parameters
          .all()
          .forEach(p ->
              state.put(
                  kind + "." + p.name(),
                  host.rows(p.offset(), p.shape().count()).reshape(p.shape().toArray())));
    });
    return state;
  }

  void restore(Map<String, Tensor> state) {
    buffers.forEach((kind, buffer) ->
        parameters
            .all()
            .forEach(p -> {
              Tensor target =
                  buffer.rows(p.offset(), p.shape().count()).reshape(p.shape().toArray());
              backend.upload(target, StoredState.require(state, kind + "." + p.name(), target));
            }));
  }

  @Override
  public void close() {
    arena.close();
  }
}
