package dev.gatun.op;

import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/// An engine that runs the op families below on its own memory: the CPU, or one GPU.
///
/// Contract of every op: outputs come first and belong to the caller; nothing is allocated behind
/// the caller's back (scratch comes from the [TensorArena] passed in, and is released before the op
/// returns); outputs alias no input unless the op says so; work is asynchronous and ordered, only
/// [#download] and [#synchronize] wait. A combination that a backend lacks is an
/// [UnsupportedOperationException], never a silent detour. Not thread-safe: one thread drives a
/// backend.
public interface Backend extends AutoCloseable {
  /// What this is, for people: `CPU (AVX-512, 2 threads)`, `cuda:0 NVIDIA H100 80GB HBM3`.
  String description();

  /// Type of activations and of the compute copies of trainable parameters: F32 on the CPU, BF16 on
  /// a GPU.
  DType activationType();

  /// Whether tensors in host memory (a mapped checkpoint) are operands of this backend as they are,
  /// without [#upload].
  default boolean usesHostMemory() {
    return false;
  }

  /// Bytes of memory that arenas can have in all; `Long.MAX_VALUE` if that is not known.
  default long memoryBytes() {
    return Long.MAX_VALUE;
  }

  /// Bytes of the same memory that are taken whatever the arenas hold: a driver's context, code and
  /// workspaces, and on a shared device what other processes hold.
  default long reservedBytes() {
    return 0;
  }

  /// Floating-point operations a second that the maker of the device promises for dense products of
  /// its activation type; 0 if that is not known.
  default double peakFlops() {
    return 0;
  }

  /// Reserves `bytes` of this backend's memory under a name that memory reports show.
  TensorArena arena(String name, long bytes);

  /// Reserves host memory, pinned on a GPU, whose tensors ops take as they do others, at the speed
  /// of the bus: for what is touched once in an update. [#uploadAfter] and [#offload] do not take
  /// them. Where arenas are host memory anyway, an arena as any other.
  default TensorArena hostArena(String name, long bytes) {
    return arena(name, bytes);
  }

  /// Copies host memory into a contiguous tensor of this backend. The source may be reused when the
  /// call returns.
  void upload(Tensor destination, MemorySegment source);

  /// A point in this backend's work; the caller closes it.
  Fence fence();

  /// Copies host memory into a contiguous tensor beside the work issued since `fence` was marked:
  /// that work must not use the tensor, what was issued before may. Work issued later waits for the
  /// copy. The source may be reused when the call returns.
  void uploadAfter(Fence fence, Tensor destination, MemorySegment source);

  /// Reserves host memory that tensors are copied to and back; the caller closes it.
  ///
  /// @param slotBytes of every slot
  OffloadBuffer offload(String name, List<Long> slotBytes);

  /// Bytes that [#offload] and [#hostArena] can reserve in all; `Long.MAX_VALUE` if that is not
  /// known.
  default long offloadMemoryBytes() {
    return Long.MAX_VALUE;
  }

  /// Copies a contiguous tensor into host memory; waits for the work that produces it.
  void download(MemorySegment destination, Tensor source);

  /// Copies a contiguous host tensor of the same type and size into `destination`.
  default void upload(Tensor destination, Tensor source) {
    upload(destination, source.segment());
  }

  /// A host copy of a contiguous tensor; waits for the work that produces it.
  default Tensor download(Tensor source) {
    Tensor copy = Tensor.allocate(Arena.ofAuto(), source.dtype(), source.shape());
    download(copy.segment(), source);
    return copy;
  }

  /// Waits for all work issued so far; errors of that work surface here.
  void synchronize();

  MatmulOps matmul();

  NormOps norm();

  RopeOps rope();

  AttentionOps attention();

  MlpOps mlp();

  LossOps loss();

  EmbeddingOps embedding();

  QuantOps quant();

  OptimizerOps optimizer();

  TensorOps tensor();

  DoraOps dora();

  @Override
  void close();
}
