package dev.gatun.nn;

import dev.gatun.op.OffloadBuffer;
import dev.gatun.tensor.Tensor;
import java.util.OptionalInt;

/// A place on the device whose content goes out to slots of host memory and comes back.
final class HostPlace {
  private final OffloadBuffer buffer;
  private OptionalInt held = OptionalInt.empty();

  HostPlace(OffloadBuffer buffer) {
    this.buffer = buffer;
  }

  /// Starts copying the content out. It must stay as it is until [#await].
  void store(int slot, Tensor content) {
    buffer.store(slot, content);
    held = OptionalInt.of(slot);
  }

  /// Starts copying a slot back, unless it is still here.
  void fetch(int slot, Tensor content) {
    if (!held.equals(OptionalInt.of(slot))) {
      buffer.prefetch(slot, content);
      held = OptionalInt.of(slot);
    }
  }

  /// Work issued later waits for the last copy, out or back.
  void await() {
    held.ifPresent(buffer::await);
  }

  /// The content goes: work issued later may overwrite it.
  void free() {
    await();
    held = OptionalInt.empty();
  }
}
