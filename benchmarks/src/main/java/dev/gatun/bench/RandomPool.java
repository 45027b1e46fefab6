package dev.gatun.bench;

import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.EnumMap;
import java.util.Map;
import java.util.SplittableRandom;

/// Normally distributed values, drawn once, kept in the backend's memory and copied again and
/// again: tensors are never zeros, which multiply faster than real numbers do, and filling
/// gigabytes takes no longer than a copy.
final class RandomPool implements AutoCloseable {
  /// A prime, so that rows of a matrix differ.
  private static final int COUNT = 4_194_301;

  private final Backend backend;
  private final SplittableRandom random = new SplittableRandom(7);
  private final float[] values = new float[COUNT];
  private final Map<DType, Pool> pools = new EnumMap<>(DType.class);

  private record Pool(TensorArena arena, Tensor values) {}

  /// @param deviation of the values
  RandomPool(Backend backend, double deviation) {
    this.backend = backend;
    for (int i = 0; i < COUNT; i++) {
      values[i] = (float) (random.nextGaussian() * deviation);
    }
  }

  /// Fills a contiguous tensor of a floating type.
  void fill(Tensor tensor) {
    Tensor pool = pools.computeIfAbsent(tensor.dtype(), this::upload).values();
    Tensor flat = tensor.reshape(tensor.count());
    long count = flat.count();
    for (long from = 0; from < count; ) {
      long start = count < COUNT ? random.nextLong(COUNT - count + 1) : 0;
      long size = Math.min(COUNT, count - from);
      backend.tensor().copy(flat.rows(from, size), pool.rows(start, size));
      from += size;
    }
  }

  private Pool upload(DType type) {
    Shape shape = Shape.of(COUNT);
    TensorArena arena = backend.arena("random values", TensorArena.sizeOf(type, COUNT));
    Tensor pool = arena.allocate(type, shape);
    backend.upload(pool, Tensor.ofRounded(type, shape, values));
    return new Pool(arena, pool);
  }

  @Override
  public void close() {
    backend.synchronize();
    pools.values().forEach(pool -> pool.arena().close());
    pools.clear();
  }
}
