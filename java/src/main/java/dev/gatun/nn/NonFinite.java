package dev.gatun.nn;

import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.Optional;

/// A [Probe] that remembers the first tensor of a forward pass with a NaN or an infinity.
final class NonFinite implements Probe {
  private final Backend backend;
  private final Tensor flag;
  private Optional<String> first = Optional.empty();

  /// @param flag I32 `[1]`, overwritten
  NonFinite(Backend backend, Tensor flag) {
    this.backend = backend;
    this.flag = flag;
  }

  @Override
  public void observe(String place, String name, Tensor tensor) {
    if (first.isEmpty() && found(backend, flag, tensor)) {
      first = Optional.of(name + " of " + place);
    }
  }

  Optional<String> first() {
    return first;
  }

  static boolean found(Backend backend, Tensor flag, Tensor tensor) {
    backend.tensor().zero(flag);
    backend.tensor().checkFinite(flag, tensor);
    return backend.download(flag).toInts()[0] != 0;
  }

  /// A tensor for the flag.
  static Tensor flag(TensorArena arena) {
    return arena.allocate(DType.I32, Shape.of(1));
  }
}
