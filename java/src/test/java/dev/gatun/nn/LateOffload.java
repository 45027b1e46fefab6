package dev.gatun.nn;

import dev.gatun.op.Backend;
import dev.gatun.op.OffloadBuffer;
import dev.gatun.tensor.Tensor;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Map;

/// Copies as late as the contract of [OffloadBuffer] allows, in order, so that a tensor that is
/// used or overwritten too early shows in the result.
final class LateOffload implements OffloadBuffer {
  private final OffloadBuffer real;
  private final boolean prefetchAtOnce;
  private final Deque<Copy> pending = new ArrayDeque<>();

  private record Copy(int slot, Runnable run) {}

  private LateOffload(OffloadBuffer real, boolean prefetchAtOnce) {
    this.real = real;
    this.prefetchAtOnce = prefetchAtOnce;
  }

  /// @param prefetchAtOnce whether what comes back comes as early as the contract allows
  static Backend backend(Backend backend, boolean prefetchAtOnce) {
    return BackendProxy.replacing(
        backend,
        Map.of(
            "offload",
            arguments -> {
              @SuppressWarnings("unchecked")
              List<Long> slotBytes = (List<Long>) arguments[1];
              return new LateOffload(
                  backend.offload((String) arguments[0], slotBytes), prefetchAtOnce);
            }));
  }

  @Override
  public void store(int slot, Tensor source) {
    pending.add(new Copy(slot, () -> real.store(slot, source)));
  }

  @Override
  public void prefetch(int slot, Tensor destination) {
    pending.add(new Copy(slot, () -> real.prefetch(slot, destination)));
    if (prefetchAtOnce) {
      await(slot);
    }
  }

  @Override
  public void await(int slot) {
    while (pending.stream().anyMatch(copy -> copy.slot() == slot)) {
      pending.remove().run().run();
    }
  }

  @Override
  public long byteSize() {
    return real.byteSize();
  }

  @Override
  public void close() {
    real.close();
  }
}
