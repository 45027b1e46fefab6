package dev.gatun.io;

import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import java.lang.foreign.MemorySegment;

/// How one stored tensor gets into a backend's memory.
///
/// @param source a view of the mapped file
public record TensorPlan(Tensor source, Action action) {
  /// What happens to the stored bytes.
  public enum Action {
    /// Used where it is.
    MAP,
    /// Copied as it is.
    COPY,
    /// Converted to F32.
    WIDEN
  }

  /// Keeps the stored type.
  static TensorPlan asStored(Tensor source, Backend backend) {
    return new TensorPlan(
        source, backend.usesHostMemory() && isAligned(source) ? Action.MAP : Action.COPY);
  }

  /// Keeps the stored type if it is the backend's activation type or F32, else converts to F32.
  static TensorPlan computable(Tensor source, Backend backend) {
    boolean fits = source.dtype() == DType.F32 || source.dtype() == backend.activationType();
    return fits ? asStored(source, backend) : new TensorPlan(source, Action.WIDEN);
  }

  private static boolean isAligned(Tensor source) {
    return source.segment().address() % source.dtype().bytes() == 0;
  }

  private DType dtype() {
    return action == Action.WIDEN ? DType.F32 : source.dtype();
  }

  /// Bytes that [#place] takes from its arena.
  long arenaBytes() {
    return action == Action.MAP ? 0 : TensorArena.sizeOf(dtype(), source.count());
  }

  /// The tensor as an operand of `backend`.
  Tensor place(Backend backend, TensorArena arena) {
    if (action == Action.MAP) {
      return source;
    }
    Tensor target = arena.allocate(dtype(), source.shape());
    backend.upload(
        target,
        action == Action.WIDEN ? MemorySegment.ofArray(source.toFloats()) : source.segment());
    return target;
  }
}
