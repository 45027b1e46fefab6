package dev.gatun.bench;

import dev.gatun.kernels.GatunKernels;
import dev.gatun.kernels.Linear;
import dev.gatun.kernels.Matrix;
import dev.gatun.kernels.Nf4Matrix;

/// The README's example of one kernel on memory and a stream of JCuda's.
final class KernelsExample {
  private KernelsExample() {}

  static void project(
      JCudaStream stream,
      JCudaMemory x, // BF16 [rows, in]
      JCudaMemory packed, // the NF4 weight [out, in], two elements a byte
      JCudaMemory absmax, // F32, one scale for 64 elements
      JCudaMemory y, // BF16 [rows, out]
      Sizes sizes) {
    try (GatunKernels kernels = GatunKernels.adopt(stream.handle())) {
      Linear layer =
          new Linear(
              Matrix.bf16(y.pointer(), sizes.rows(), sizes.out()),
              Matrix.bf16(x.pointer(), sizes.rows(), sizes.in()),
              Nf4Matrix.plain(packed.pointer(), absmax.pointer(), sizes.out(), sizes.in()));
      kernels.reserveScratch(kernels.scratchBytes(layer));
      kernels.linear(layer); // queued on the stream, in order with JCuda's own work
    }
  }

  record Sizes(long rows, long out, long in) {}
}
