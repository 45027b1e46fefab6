package dev.gatun.bench;

import dev.gatun.cuda.DeviceBuffer;
import dev.gatun.cuda.op.CudaBackend;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;

/// The driver's own copy within a GPU's memory: the most that the memory gives.
final class DeviceCopy implements AutoCloseable {
  private final CudaBackend gpu;
  private final DeviceBuffer from;
  private final DeviceBuffer to;

  /// @param bytes to copy, a multiple of 4
  DeviceCopy(CudaBackend gpu, long bytes, RandomPool values) {
    this.gpu = gpu;
    from = gpu.context().allocate("copied from", bytes);
    to = gpu.context().allocate("copied to", bytes);
    values.fill(CudaBackend.tensor(from, DType.F32, Shape.of(bytes / DType.F32.bytes())));
  }

  /// Queues one copy.
  void run() {
    gpu.stream().copy(to, 0, from, 0, from.byteSize());
  }

  @Override
  public void close() {
    gpu.synchronize();
    to.close();
    from.close();
  }
}
