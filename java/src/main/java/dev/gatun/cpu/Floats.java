package dev.gatun.cpu;

import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// A contiguous F32 tensor as numbers.
record Floats(MemorySegment memory, long count) {
  static Floats of(Tensor tensor) {
    if (tensor.dtype() != DType.F32 || !tensor.isContiguous()) {
      throw new IllegalArgumentException(
          tensor.dtype() + " " + tensor.shape() + " where contiguous F32 is expected");
    }
    return new Floats(tensor.segment(), tensor.count());
  }

  float at(long index) {
    return memory.get(ValueLayout.JAVA_FLOAT_UNALIGNED, 4 * index);
  }

  void set(long index, float value) {
    memory.set(ValueLayout.JAVA_FLOAT_UNALIGNED, 4 * index, value);
  }
}
