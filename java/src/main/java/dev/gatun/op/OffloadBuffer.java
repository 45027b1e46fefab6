package dev.gatun.op;

import dev.gatun.tensor.Tensor;
import java.util.List;

/// Host memory, in slots, where tensors stay while the backend's memory serves something else.
/// Copies run beside the backend's other work; [#await] orders that work after them. On a GPU the
/// memory is pinned.
public interface OffloadBuffer extends AutoCloseable {
  /// Starts copying a contiguous tensor into a slot once the work issued so far is done. The tensor
  /// must stay as it is until [#await].
  ///
  /// @throws IllegalArgumentException if there is no such slot or the tensor is larger
  void store(int slot, Tensor source);

  /// Starts copying a slot, as last stored, into a contiguous tensor once the work issued so far is
  /// done, which may still use that tensor. The tensor must not be used until [#await].
  ///
  /// @throws IllegalArgumentException if there is no such slot or the tensor is larger
  void prefetch(int slot, Tensor destination);

  /// Work issued later waits for the slot's last copy; the caller does not.
  void await(int slot);

  /// Host memory in all slots.
  long byteSize();

  /// Waits for copies under way and frees the memory.
  @Override
  void close();

  /// Byte offset of a slot that is to hold `tensor`.
  ///
  /// @param slotBytes of every slot; they lie one behind the other
  /// @throws IllegalArgumentException if there is no such slot or the tensor does not fit
  static long offset(Tensor tensor, int slot, List<Long> slotBytes) {
    if (slot < 0
        || slot >= slotBytes.size()
        || tensor.byteSize() > slotBytes.get(slot)
        || !tensor.isContiguous()) {
      throw new IllegalArgumentException(
          "%s %s%s for slot %d of slots of %s bytes"
              .formatted(
                  tensor.dtype(),
                  tensor.shape(),
                  tensor.isContiguous() ? "" : " with gaps",
                  slot,
                  slotBytes));
    }
    return sum(slotBytes.subList(0, slot));
  }

  /// Bytes of slots in all.
  static long sum(List<Long> slotBytes) {
    return slotBytes.stream().mapToLong(Long::longValue).reduce(0, Math::addExact);
  }
}
