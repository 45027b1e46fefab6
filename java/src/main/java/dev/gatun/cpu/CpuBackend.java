package dev.gatun.cpu;

import dev.gatun.op.AttentionOps;
import dev.gatun.op.Backend;
import dev.gatun.op.EmbeddingOps;
import dev.gatun.op.LossOps;
import dev.gatun.op.MatmulOps;
import dev.gatun.op.MlpOps;
import dev.gatun.op.NormOps;
import dev.gatun.op.OptimizerOps;
import dev.gatun.op.QuantOps;
import dev.gatun.op.RopeOps;
import dev.gatun.op.TensorArena;
import dev.gatun.op.TensorOps;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;

/// The engine on the CPU: F32 throughout, in parallel, bitwise the same result for any number of
/// threads. Ops are synchronous. With the module `jdk.incubator.vector` in the run time the hot
/// loops use it; without, they are plain loops.
public final class CpuBackend implements Backend {
  private final WorkerPool pool;
  private final List<CpuArena> arenas = new ArrayList<>();
  private final QuantOps quant;

  private CpuBackend(int threads) {
    pool = new WorkerPool(threads);
    quant = new CpuQuantOps(pool);
  }

  /// A backend on all processors.
  public static CpuBackend create() {
    return create(Runtime.getRuntime().availableProcessors());
  }

  /// A backend on `threads` threads, the caller's included.
  public static CpuBackend create(int threads) {
    if (threads < 1) {
      throw new IllegalArgumentException("a backend needs a thread, not " + threads);
    }
    return new CpuBackend(threads);
  }

  @Override
  public String description() {
    return "CPU (" + pool.threads() + " threads)";
  }

  @Override
  public DType activationType() {
    return DType.F32;
  }

  @Override
  public boolean usesHostMemory() {
    return true;
  }

  @Override
  public long memoryBytes() {
    // What the machine or the container has; pages that others use now can be given up.
    return ManagementFactory.getOperatingSystemMXBean()
            instanceof com.sun.management.OperatingSystemMXBean system
        ? system.getTotalMemorySize()
        : Long.MAX_VALUE;
  }

  @Override
  public TensorArena arena(String name, long bytes) {
    CpuArena arena = new CpuArena(name, bytes);
    arenas.removeIf(old -> !old.isOpen());
    arenas.add(arena);
    return arena;
  }

  @Override
  public void upload(Tensor destination, MemorySegment source) {
    requireContiguous(destination);
    MemorySegment.copy(source, 0, destination.segment(), 0, destination.byteSize());
  }

  @Override
  public void download(MemorySegment destination, Tensor source) {
    requireContiguous(source);
    MemorySegment.copy(source.segment(), 0, destination, 0, source.byteSize());
  }

  private static void requireContiguous(Tensor tensor) {
    if (!tensor.isContiguous()) {
      throw new IllegalArgumentException("only contiguous tensors are copied: " + tensor.shape());
    }
  }

  @Override
  public void synchronize() {
    // Ops are done when they return.
  }

  @Override
  public MatmulOps matmul() {
    throw new UnsupportedOperationException("matmul");
  }

  @Override
  public NormOps norm() {
    throw new UnsupportedOperationException("norm");
  }

  @Override
  public RopeOps rope() {
    throw new UnsupportedOperationException("rope");
  }

  @Override
  public AttentionOps attention() {
    throw new UnsupportedOperationException("attention");
  }

  @Override
  public MlpOps mlp() {
    throw new UnsupportedOperationException("mlp");
  }

  @Override
  public LossOps loss() {
    throw new UnsupportedOperationException("loss");
  }

  @Override
  public EmbeddingOps embedding() {
    throw new UnsupportedOperationException("embedding");
  }

  @Override
  public QuantOps quant() {
    return quant;
  }

  @Override
  public OptimizerOps optimizer() {
    throw new UnsupportedOperationException("optimizer");
  }

  @Override
  public TensorOps tensor() {
    throw new UnsupportedOperationException("tensor");
  }

  /// Ends the threads and frees the arenas that are still open.
  @Override
  public void close() {
    arenas.forEach(CpuArena::close);
    pool.close();
  }
}
