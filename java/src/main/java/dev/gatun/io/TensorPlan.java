package dev.gatun.io;

import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// How one stored tensor gets into a backend's memory.
///
/// @param source a view of the mapped file
/// @param dtype of the result
/// @param subtracted what the tensor loses on the way, or null
public record TensorPlan(
    Tensor source, Action action, DType dtype, @Nullable Subtracted subtracted) {
  TensorPlan(Tensor source, Action action, DType dtype) {
    this(source, action, dtype, null);
  }

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

  /// The same in memory of its own.
  TensorPlan copied() {
    return new TensorPlan(source, action == Action.MAP ? Action.COPY : action, dtype, subtracted);
  }

  /// The same of the tensor less a low-rank part, or of the tensor itself.
  TensorPlan less(@Nullable Subtracted part) {
    return part == null ? this : new TensorPlan(source, copied().action, dtype, part);
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
    Tensor from = subtracted == null ? source : subtracted.from(source);
    switch (action) {
      case MAP, COPY -> backend.upload(target, from.segment());
      case WIDEN -> backend.upload(target, MemorySegment.ofArray(from.toFloats()));
      case ROUND -> round(target, from, backend, scratch);
    }
    return target;
  }

  private void round(Tensor target, Tensor from, Backend backend, TensorArena scratch) {
    long mark = scratch.mark();
    long most = chunkRows();
    Tensor chunk = scratch.allocate(source.dtype(), Shape.of(most, source.cols()));
    for (long row = 0; row < from.rows(); row += most) {
      long rows = Math.min(most, from.rows() - row);
      backend.upload(chunk.rows(0, rows), from.rows(row, rows).segment());
      backend.tensor().copy(target.rows(row, rows), chunk.rows(0, rows));
    }
    scratch.release(mark);
  }

  private long chunkRows() {
    long rowBytes = source.cols() * source.dtype().bytes();
    return Math.clamp(CHUNK_BYTES / Math.max(1, rowBytes), 1, Math.max(1, source.rows()));
  }
}
