package dev.gatun.cpu;

import dev.gatun.cpu.kernel.Kernels;
import dev.gatun.cpu.kernel.PlainKernels;
import dev.gatun.cpu.simd.SimdKernels;
import dev.gatun.cpu.simd.SimdSupport;
import dev.gatun.op.AttentionOps;
import dev.gatun.op.Backend;
import dev.gatun.op.DoraOps;
import dev.gatun.op.EmbeddingOps;
import dev.gatun.op.Fence;
import dev.gatun.op.LossOps;
import dev.gatun.op.MatmulOps;
import dev.gatun.op.MlpOps;
import dev.gatun.op.NormOps;
import dev.gatun.op.OffloadBuffer;
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
  private final Kernels kernels;
  private final MatmulOps matmul;
  private final NormOps norm;
  private final RopeOps rope;
  private final AttentionOps attention;
  private final MlpOps mlp;
  private final LossOps loss;
  private final EmbeddingOps embedding;
  private final QuantOps quant;
  private final OptimizerOps optimizer;
  private final TensorOps tensor;
  private final DoraOps dora;

  private CpuBackend(int threads, Kernels kernels) {
    if (threads < 1) {
      throw new IllegalArgumentException("a backend needs a thread, not " + threads);
    }
    this.kernels = kernels;
    pool = new WorkerPool(threads);
    Loops loops = new Loops(pool);
    Gemm gemm = new Gemm(pool, kernels);
    CpuTensorOps tensors = new CpuTensorOps(loops);
    matmul = new CpuMatmulOps(gemm, loops, tensors);
    norm = new CpuNormOps(loops, kernels);
    rope = new CpuRopeOps(loops);
    attention = new CpuAttentionOps(pool, kernels);
    mlp = new CpuMlpOps(loops, kernels);
    loss = new CpuLossOps(gemm, loops, kernels);
    embedding = new CpuEmbeddingOps(loops);
    quant = new CpuQuantOps(pool);
    optimizer = new CpuOptimizerOps(loops);
    tensor = tensors;
    dora = new CpuDoraOps(loops, kernels);
  }

  /// A backend on all processors.
  public static CpuBackend create() {
    return create(Runtime.getRuntime().availableProcessors());
  }

  /// A backend on `threads` threads, the caller's included.
  public static CpuBackend create(int threads) {
    return new CpuBackend(
        threads, SimdSupport.isAvailable() ? new SimdKernels() : new PlainKernels());
  }

  /// A backend that never uses the Vector API.
  public static CpuBackend createPlain(int threads) {
    return new CpuBackend(threads, new PlainKernels());
  }

  @Override
  public String description() {
    return "CPU (" + kernels.name() + ", " + pool.threads() + " threads)";
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
  public Fence fence() {
    return new Fence() {
      @Override
      public void mark() {
        // Ops are done when they return.
      }

      @Override
      public void close() {
        // Nothing is held.
      }
    };
  }

  @Override
  public void uploadAfter(Fence fence, Tensor destination, MemorySegment source) {
    upload(destination, source);
  }

  @Override
  public OffloadBuffer offload(String name, List<Long> slotBytes) {
    return new CpuOffloadBuffer(slotBytes);
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
    return matmul;
  }

  @Override
  public NormOps norm() {
    return norm;
  }

  @Override
  public RopeOps rope() {
    return rope;
  }

  @Override
  public AttentionOps attention() {
    return attention;
  }

  @Override
  public MlpOps mlp() {
    return mlp;
  }

  @Override
  public LossOps loss() {
    return loss;
  }

  @Override
  public EmbeddingOps embedding() {
    return embedding;
  }

  @Override
  public QuantOps quant() {
    return quant;
  }

  @Override
  public OptimizerOps optimizer() {
    return optimizer;
  }

  @Override
  public TensorOps tensor() {
    return tensor;
  }

  @Override
  public DoraOps dora() {
    return dora;
  }

  /// Ends the threads and frees the arenas that are still open.
  @Override
  public void close() {
    arenas.forEach(CpuArena::close);
    pool.close();
  }
}
