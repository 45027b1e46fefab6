package dev.gatun.cuda.op;

import dev.gatun.FailureException;
import dev.gatun.cuda.Context;
import dev.gatun.cuda.CublasLt;
import dev.gatun.cuda.Device;
import dev.gatun.cuda.DeviceBuffer;
import dev.gatun.cuda.Event;
import dev.gatun.cuda.Module;
import dev.gatun.cuda.PeakRate;
import dev.gatun.cuda.Stream;
import dev.gatun.cuda.Target;
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
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Storage;
import dev.gatun.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// One NVIDIA GPU: BF16 activations, F32 masters, our own kernels; cuBLASLt multiplies dense
/// matrices where it is installed.
public final class CudaBackend implements Backend {
  // What the driver and cuBLASLt take when a kernel of theirs first runs; an estimate, as neither
  // tells.
  private static final long FIRST_USE_BYTES = 64L << 20;
  private static final long STAGING_BYTES = 8L << 20;
  private static final long AHEAD_BYTES = 1L << 20;

  private final Context context;
  private final Deque<AutoCloseable> resources;
  private final Stream stream;
  private final Staging staging;
  private @Nullable Staging ahead; // opened at first use: a caller of single ops needs none
  private final CudaMatmulOps matmul;
  private final CudaNormOps norm;
  private final CudaRopeOps rope;
  private final CudaAttentionOps attention;
  private final CudaMlpOps mlp;
  private final CudaLossOps loss;
  private final CudaEmbeddingOps embedding;
  private final CudaQuantOps quant;
  private final CudaOptimizerOps optimizer;
  private final CudaTensorOps tensor;
  private final CudaDoraOps dora;

  // What it opens goes on `resources` as it is opened, so that nothing stays behind if it fails.
  private CudaBackend(Context context, @Nullable Stream foreign, Deque<AutoCloseable> resources) {
    this.context = context;
    this.resources = resources;
    stream = foreign == null ? own(context.stream("compute")) : foreign;
    staging = own(new Staging(context, stream, STAGING_BYTES));
    Launcher launcher = own(new Launcher(context, stream));
    CublasLt cublas = CublasLt.isAvailable() ? own(CublasLt.create(context)) : null;
    tensor = new CudaTensorOps(launcher);
    Products products = new Products(launcher, tensor, cublas, workspace(cublas));
    quant = new CudaQuantOps(this, launcher, tensor);
    FewRowProducts fewRows = own(new FewRowProducts(launcher, products));
    matmul = new CudaMatmulOps(launcher, products, fewRows, quant, tensor);
    dora = new CudaDoraOps(launcher, matmul);
    norm = new CudaNormOps(launcher);
    rope = new CudaRopeOps(launcher);
    attention = new CudaAttentionOps(launcher);
    mlp = new CudaMlpOps(launcher);
    embedding = new CudaEmbeddingOps(launcher);
    loss = new CudaLossOps(launcher, products, matmul, embedding, tensor);
    optimizer = new CudaOptimizerOps(launcher);
  }

  /// Opens GPU `ordinal`.
  ///
  /// @throws dev.gatun.FailureException if there is no driver, no such GPU, or this build has no
  ///   kernels
  public static CudaBackend create(int ordinal) {
    Context context = Context.open(Device.of(ordinal));
    Deque<AutoCloseable> resources = new ArrayDeque<>();
    resources.push(context);
    return build(context, null, resources);
  }

  /// The same ops on a stream of the caller's, in its context: beside JCuda or any other user of
  /// the driver. Neither is closed with the backend. All work is queued on that stream, so that it
  /// is in order with the caller's own.
  ///
  /// ```java
  /// Context context = Context.adopt();
  /// Stream stream = context.foreignStream("mine", address);
  /// try (CudaBackend ops = CudaBackend.over(stream);
  ///     DeviceBuffer memory = context.foreignBuffer("x", new DevicePtr(pointer), bytes)) {
  ///   Tensor x = CudaBackend.tensor(memory, DType.BF16, Shape.of(rows, cols));
  ///   ops.matmul().forward(…);
  /// }
  /// ```
  ///
  /// @throws dev.gatun.FailureException if this build has no kernels
  public static CudaBackend over(Stream stream) {
    return build(stream.context(), stream, new ArrayDeque<>());
  }

  private static CudaBackend build(
      Context context, @Nullable Stream foreign, Deque<AutoCloseable> resources) {
    try {
      return new CudaBackend(context, foreign, resources);
    } catch (RuntimeException e) {
      RuntimeException second = closeAll(resources, null);
      if (second != null) {
        e.addSuppressed(second);
      }
      throw e;
    }
  }

  /// A contiguous tensor at the start of device memory, for example of a
  /// [Context#foreignBuffer(String, dev.gatun.cuda.DevicePtr, long)].
  public static Tensor tensor(DeviceBuffer memory, DType dtype, Shape shape) {
    return Tensor.of(new DeviceStorage(memory), 0, dtype, shape);
  }

  /// Device memory as the storage of tensors at any offset.
  public static Storage storage(DeviceBuffer memory) {
    return new DeviceStorage(memory);
  }

  /// The context of this backend's memory.
  public Context context() {
    return context;
  }

  /// Where all of this backend's work is queued: record events here to take its time.
  public Stream stream() {
    return stream;
  }

  /// Whether this build has kernels and this machine a driver and a GPU that they run on.
  public static boolean isUsable() {
    try {
      return Module.exists("norm", Target.SM80)
          && Device.list().stream().limit(1).anyMatch(Device::isSupported);
    } catch (FailureException _) {
      return false;
    }
  }

  @Override
  public String description() {
    return "cuda:" + context.device().ordinal() + " " + context.device().name();
  }

  @Override
  public DType activationType() {
    return DType.BF16;
  }

  @Override
  public long memoryBytes() {
    return Math.max(0, context.freeMemoryBytes() - FIRST_USE_BYTES);
  }

  @Override
  public long reservedBytes() {
    return context.takenMemoryBytes() + FIRST_USE_BYTES;
  }

  @Override
  public double peakFlops() {
    return PeakRate.of(context.device());
  }

  @Override
  public TensorArena arena(String name, long bytes) {
    return new CudaArena(context, name, bytes);
  }

  @Override
  public TensorArena hostArena(String name, long bytes) {
    return new CudaArena(
        name, context.allocatePinned(name, Math.max(bytes, TensorArena.ALIGNMENT)), bytes);
  }

  /// An arena over memory that exists, at a multiple of 256 bytes; closing it closes the buffer.
  public static TensorArena arena(String name, DeviceBuffer memory) {
    return new CudaArena(name, memory, memory.byteSize());
  }

  @Override
  public void upload(Tensor destination, MemorySegment source) {
    requireSize(destination, source);
    if (destination.storage() instanceof PinnedStorage pinned) {
      stream.synchronize();
      pinned.segment(destination).copyFrom(source);
      return;
    }
    staging.upload(DeviceStorage.buffer(destination), destination.byteOffset(), source);
  }

  @Override
  public Fence fence() {
    return new CudaFence(context.event(), stream);
  }

  @Override
  public void uploadAfter(Fence fence, Tensor destination, MemorySegment source) {
    if (!(fence instanceof CudaFence(Event event, Stream compute)) || compute != stream) {
      throw new IllegalArgumentException("the fence belongs to another backend");
    }
    requireSize(destination, source);
    Staging copies = ahead();
    copies.stream().waitFor(event);
    DeviceBuffer target = DeviceStorage.buffer(destination);
    stream.waitFor(copies.upload(target, destination.byteOffset(), source));
  }

  private Staging ahead() {
    if (ahead == null) {
      ahead = own(new Staging(context, own(context.urgentStream("copies")), AHEAD_BYTES));
    }
    return ahead;
  }

  @Override
  public OffloadBuffer offload(String name, List<Long> slotBytes) {
    return new CudaOffloadBuffer(context, stream, name, slotBytes);
  }

  @Override
  public long offloadMemoryBytes() {
    return ManagementFactory.getOperatingSystemMXBean()
            instanceof com.sun.management.OperatingSystemMXBean system
        ? system.getTotalMemorySize()
        : Long.MAX_VALUE;
  }

  @Override
  public void download(MemorySegment destination, Tensor source) {
    requireSize(source, destination);
    if (source.storage() instanceof PinnedStorage pinned) {
      stream.synchronize();
      destination.copyFrom(pinned.segment(source));
      return;
    }
    staging.download(destination, DeviceStorage.buffer(source), source.byteOffset());
  }

  @Override
  public void synchronize() {
    stream.synchronize();
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

  /// Arenas must have been closed before.
  @Override
  public void close() {
    RuntimeException failure = null;
    try {
      stream.synchronize();
    } catch (FailureException e) {
      failure = e; // a fault of earlier work: what can be freed is freed all the same
    }
    failure = closeAll(resources, failure);
    if (failure != null) {
      throw failure;
    }
  }

  // Closes everything, the last opened first, and returns the first failure.
  private static @Nullable RuntimeException closeAll(
      Deque<AutoCloseable> resources, @Nullable RuntimeException earlier) {
    RuntimeException failure = earlier;
    while (!resources.isEmpty()) {
      try {
        resources.pop().close();
      } catch (Exception e) {
        RuntimeException next =
            e instanceof RuntimeException unchecked ? unchecked : new IllegalStateException(e);
        failure = failure == null ? next : failure;
      }
    }
    return failure;
  }

  private <T extends AutoCloseable> T own(T resource) {
    resources.push(resource);
    return resource;
  }

  private CublasLt.Workspace workspace(@Nullable CublasLt cublas) {
    if (cublas == null) {
      return CublasLt.Workspace.NONE;
    }
    DeviceBuffer buffer = own(context.allocate("cuBLASLt workspace", Products.WORKSPACE_BYTES));
    return new CublasLt.Workspace(buffer.pointer(), buffer.byteSize());
  }

  private static void requireSize(Tensor tensor, MemorySegment host) {
    if (!tensor.isContiguous() || tensor.byteSize() != host.byteSize()) {
      throw new IllegalArgumentException(
          "%d host bytes for %s %s%s"
              .formatted(
                  host.byteSize(),
                  tensor.dtype(),
                  tensor.shape(),
                  tensor.isContiguous() ? "" : " with gaps"));
    }
  }
}
