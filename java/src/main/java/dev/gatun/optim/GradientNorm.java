package dev.gatun.optim;

import dev.gatun.nn.Parameters;
import dev.gatun.op.Backend;
import dev.gatun.op.OptimizerOps;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The global L2 norm of all gradients and the clipping that follows from it. The norm stays in the
/// backend's memory; nothing waits for it but [#download].
public final class GradientNorm implements AutoCloseable {
  private final Backend backend;
  private final Parameters parameters;
  private final TensorArena arena;
  private final Tensor norm;

  public GradientNorm(Backend backend, Parameters parameters) {
    this.backend = backend;
    this.parameters = parameters;
    arena = backend.arena("gradient-norm", byteSize(backend, parameters.masters().count()));
    norm = arena.allocate(DType.F32, Shape.of(1));
  }

  /// Bytes for parameters that take `flatCount` elements, gaps included.
  public static long byteSize(Backend backend, long flatCount) {
    return TensorArena.sizeOf(DType.F32, 1) + backend.optimizer().scratchBytes(flatCount, 1);
  }

  /// Computes the norm of the gradients as they are now.
  public void measure() {
    backend.optimizer().globalNorm(norm, List.of(parameters.gradients()), arena);
  }

  /// What an update multiplies gradients by, from the last measured norm; null if `maxNorm` is 0,
  /// which means no clipping.
  public OptimizerOps.@Nullable Clip clip(double maxNorm) {
    return maxNorm == 0 ? null : new OptimizerOps.Clip(norm, (float) maxNorm);
  }

  /// The last measured norm, before clipping. Waits for the backend.
  public float download() {
    return backend.download(norm).toFloats()[0];
  }

  @Override
  public void close() {
    arena.close();
  }
}
