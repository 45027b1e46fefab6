package dev.gatun.bench;

import dev.gatun.op.Backend;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.EnumMap;
import java.util.Map;
import java.util.SplittableRandom;

/// Normally distributed values, drawn once and uploaded again and again: tensors are never zeros,
/// which multiply faster than real numbers do, and filling gigabytes takes no longer than a copy.
final class RandomPool {
  /// A prime, so that rows of a matrix differ.
  private static final int COUNT = 4_194_301;

  private final Backend backend;
  private final SplittableRandom random = new SplittableRandom(7);
  private final float[] values = new float[COUNT];
  private final Map<DType, Tensor> pools = new EnumMap<>(DType.class);

  /// @param deviation of the values
  RandomPool(Backend backend, double deviation) {
    this.backend = backend;
    for (int i = 0; i < COUNT; i++) {
      values[i] = (float) (random.nextGaussian() * deviation);
    }
  }

  /// Fills a contiguous tensor of a floating type.
  void fill(Tensor tensor) {
    Tensor pool =
        pools.computeIfAbsent(
            tensor.dtype(), type -> Tensor.ofRounded(type, Shape.of(COUNT), values));
    Tensor flat = tensor.reshape(tensor.count());
    long count = flat.count();
    for (long from = 0; from < count; ) {
      long start = count < COUNT ? random.nextLong(COUNT - count + 1) : 0;
      long size = Math.min(COUNT, count - from);
      backend.upload(flat.rows(from, size), pool.rows(start, size));
      from += size;
    }
  }
}
