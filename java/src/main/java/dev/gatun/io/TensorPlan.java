package dev.gatun.io;

import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.lang.foreign.MemorySegment;

/// How one stored tensor gets into a backend's memory.
///
/// @param source a view of the mapped file
/// @param dtype of the result
public record TensorPlan(Tensor source, Action action, DType dtype) {
  // What is rounded at a time.
  private static final long CHUNK_BYTES = 64L << 20;

  /// What happens to the stored bytes.
  public enum Action {
    /// Used where it is.
    MAP,
    /// Copied as it is.
    COPY,
    /// Converted to F32 on the host.
    WIDEN,
    /// Copied to scratch and rounded to the backend's activation type there.
    ROUND
  }

  /// Keeps the stored type.
  static TensorPlan asStored(Tensor source, Backend backend) {
    return new TensorPlan(
        source,
        backend.usesHostMemory() && isAligned(source) ? Action.MAP : Action.COPY,
        source.dtype());
  }

  /// Keeps the stored type if it is the backend's activation type or F32, else converts to F32.
  static TensorPlan computable(Tensor source, Backend backend) {
    boolean fits = source.dtype() == DType.F32 || source.dtype() == backend.activationType();
    return fits ? asStored(source, backend) : new TensorPlan(source, Action.WIDEN, DType.F32);
  }

  /// Of type `dtype`, which is the stored type or the backend's activation type.
  static TensorPlan rounded(Tensor source, DType dtype, Backend backend) {
    return source.dtype() == dtype
        ? asStored(source, backend)
        : new TensorPlan(source, Action.ROUND, dtype);
  }

  private static boolean isAligned(Tensor source) {
    return source.segment().address() % source.dtype().bytes() == 0;
  }

  /// Bytes that [#place] takes from its arena.
  long arenaBytes() {
    return action == Action.MAP ? 0 : TensorArena.sizeOf(dtype, source.count());
  }

  /// Bytes that [#place] takes from its scratch.
  long scratchBytes() {
    return action == Action.ROUND
        ? TensorArena.sizeOf(source.dtype(), chunkRows() * source.cols())
        : 0;
  }

  /// The tensor as an operand of `backend`.
  Tensor place(Backend backend, TensorArena arena, TensorArena scratch) {
    if (action == Action.MAP) {
      return source;
    }
    Tensor target = arena.allocate(dtype, source.shape());
    switch (action) {
      case MAP, COPY -> backend.upload(target, source.segment());
      case WIDEN -> backend.upload(target, MemorySegment.ofArray(source.toFloats()));
      case ROUND -> round(target, backend, scratch);
    }
    return target;
  }

  private void round(Tensor target, Backend backend, TensorArena scratch) {
    long mark = scratch.mark();
    long most = chunkRows();
    Tensor chunk = scratch.allocate(source.dtype(), Shape.of(most, source.cols()));
    for (long from = 0; from < source.rows(); from += most) {
      long rows = Math.min(most, source.rows() - from);
      backend.upload(chunk.rows(0, rows), source.rows(from, rows).segment());
      backend.tensor().copy(target.rows(from, rows), chunk.rows(0, rows));
    }
    scratch.release(mark);
  }

  private long chunkRows() {
    long rowBytes = source.cols() * source.dtype().bytes();
    return Math.clamp(CHUNK_BYTES / Math.max(1, rowBytes), 1, Math.max(1, source.rows()));
  }
}
