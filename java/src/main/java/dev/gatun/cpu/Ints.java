package dev.gatun.cpu;

import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// A contiguous I32 tensor as numbers.
record Ints(MemorySegment memory, long count) {
  static Ints of(Tensor tensor) {
    if (tensor.dtype() != DType.I32 || !tensor.isContiguous()) {
      throw new IllegalArgumentException(
          tensor.dtype() + " " + tensor.shape() + " where contiguous I32 is expected");
    }
    return new Ints(tensor.segment(), tensor.count());
  }

  int at(long index) {
    return memory.get(ValueLayout.JAVA_INT_UNALIGNED, 4 * index);
  }

  void set(long index, int value) {
    memory.set(ValueLayout.JAVA_INT_UNALIGNED, 4 * index, value);
  }
}
