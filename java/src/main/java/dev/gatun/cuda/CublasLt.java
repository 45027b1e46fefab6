package dev.gatun.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.gatun.FailureException;
import dev.gatun.bindings.NativeLibrary;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/// Matrix products by cuBLASLt. The algorithm for a form of product is chosen once, by the
/// library's heuristic, and kept; only algorithms that add partial sums in fp32 and in a fixed
/// order are allowed. Asynchronous; any thread may use it; it may be captured in a [Graph] once the
/// form has been seen.
public final class CublasLt implements AutoCloseable {
  private final Context context;
  private final MemorySegment handle;
  private final Lifetime lifetime;
  private final Map<GemmPlan.Key, GemmPlan> plans = new ConcurrentHashMap<>();
  private final ThreadLocal<MemorySegment> scalars =
      ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(JAVA_FLOAT, 2));

  private CublasLt(Context context, MemorySegment handle) {
    this.context = context;
    this.handle = handle;
    this.lifetime = Lifetime.start(context, this, "cuBLASLt handle");
  }

  /// Where the matrices are. `c` may equal `d`, or be null where beta is 0; otherwise nothing
  /// overlaps `d`.
  public record Matrices(DevicePtr a, DevicePtr b, DevicePtr c, DevicePtr d) {
    /// Without C.
    public Matrices(DevicePtr a, DevicePtr b, DevicePtr d) {
      this(a, b, DevicePtr.NULL, d);
    }
  }

  /// Scratch memory of the caller's, used by one product at a time. 32 MiB suit a Hopper GPU; with
  /// none, fewer algorithms are open.
  public record Workspace(DevicePtr pointer, long bytes) {
    public static final Workspace NONE = new Workspace(DevicePtr.NULL, 0);
  }

  /// Whether the library is installed.
  public static boolean isAvailable() {
    return NativeLibrary.CUBLASLT.isAvailable();
  }

  /// Opens the library on a context.
  ///
  /// @throws FailureException if the library is missing or of a major version other than 12 and 13
  public static CublasLt create(Context context) {
    LibraryReport report = LibraryReport.of(NativeLibrary.CUBLASLT);
    report
        .problem()
        .ifPresent(problem -> {
          throw new FailureException(problem);
        });
    context.makeCurrent();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(ADDRESS);
      GemmPlan.check(
          dev.gatun.bindings.cublaslt.CublasLt.cublasLtCreate(out), () -> "cublasLtCreate()");
      return new CublasLt(context, out.get(ADDRESS, 0));
    }
  }

  /// Queues `D = alpha · op(A) · op(B) + beta · C`.
  ///
  /// @throws CudaException if the library has no algorithm for the form or refuses the call
  public void multiply(
      Stream stream, Gemm gemm, Matrices matrices, float alpha, float beta, Workspace workspace) {
    lifetime.requireOpen();
    context.requireSame(stream.context(), stream.toString());
    MemorySegment queue = stream.enter();
    MemorySegment factors = scalars.get();
    factors.setAtIndex(JAVA_FLOAT, 0, alpha);
    factors.setAtIndex(JAVA_FLOAT, 1, beta);
    // The library wants a C even where it does not read it.
    Matrices all =
        matrices.c().isNull()
            ? new Matrices(matrices.a(), matrices.b(), matrices.d(), matrices.d())
            : matrices;
    if (matrices.c().isNull() && beta != 0) {
      throw new IllegalArgumentException("beta is " + beta + " but there is no C");
    }
    GemmPlan.Key key = GemmPlan.Key.of(gemm, all, workspace.bytes());
    GemmPlan plan = plans.get(key);
    if (plan == null) {
      plan = plans.computeIfAbsent(key, missing -> GemmPlan.choose(handle, missing));
    }
    plan.run(handle, queue, all, factors, workspace);
    if (context.isBlocking() && !stream.isCapturing()) {
      Driver.streamSynchronize(queue, () -> stream.name() + " after " + gemm);
    }
  }

  /// Number of product forms seen so far.
  public int planCount() {
    return plans.size();
  }

  @Override
  public void close() {
    lifetime.end(() -> {
      plans.values().forEach(GemmPlan::destroy);
      plans.clear();
      GemmPlan.check(
          dev.gatun.bindings.cublaslt.CublasLt.cublasLtDestroy(handle), () -> "cublasLtDestroy()");
    });
  }
}
