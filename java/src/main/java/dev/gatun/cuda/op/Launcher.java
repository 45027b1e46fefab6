package dev.gatun.cuda.op;

import dev.gatun.cuda.Context;
import dev.gatun.cuda.Kernel;
import dev.gatun.cuda.KernelSpec;
import dev.gatun.cuda.LaunchConfig;
import dev.gatun.cuda.Module;
import dev.gatun.cuda.Stream;
import dev.gatun.cuda.Target;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import java.util.HashMap;
import java.util.Map;

/// What all launchers share: the compute stream, the modules (loaded at first use), and the
/// geometry rules of the kernel files.
final class Launcher implements AutoCloseable {
  private static final int THREADS = 256;
  // Enough blocks in flight for grid-stride kernels to fill every multiprocessor twice over.
  private static final int BLOCKS_PER_MULTIPROCESSOR = 16;

  private final Context context;
  private final Stream stream;
  private final Map<String, Module> modules = new HashMap<>();

  Launcher(Context context, Stream stream) {
    this.context = context;
    this.stream = stream;
  }

  Context context() {
    return context;
  }

  Stream stream() {
    return stream;
  }

  /// A kernel, its module loaded at first use.
  <P extends Record> Kernel<P> kernel(KernelSpec<P> spec) {
    return modules
        .computeIfAbsent(
            spec.module() + " " + spec.target(),
            key -> Module.load(context, spec.module(), spec.target()))
        .kernel(spec);
  }

  /// Whether Hopper's own kernels run here.
  boolean isHopper() {
    return Target.SM90A.runsOn(context.device());
  }

  <P extends Record> void launch(Kernel<P> kernel, LaunchConfig config, P parameters) {
    kernel.launch(config, stream, parameters);
  }

  /// Geometry of a grid-stride kernel with 256 threads a block.
  LaunchConfig gridStride(long items) {
    long wanted = Math.ceilDiv(Math.max(items, 1), (long) THREADS);
    long most = (long) context.device().multiprocessors() * BLOCKS_PER_MULTIPROCESSOR;
    return LaunchConfig.of((int) Math.min(wanted, most), THREADS);
  }

  /// The kernels' number of an element type.
  static int typeCode(DType dtype) {
    return switch (dtype) {
      case F32 -> 0;
      case BF16 -> 1;
      case F16 -> 2;
      case F64, I64, I32, I16, I8, U8, BOOL ->
          throw new UnsupportedOperationException("no kernel takes elements of type " + dtype);
    };
  }

  /// 1 if all tensors can be read 16 bytes at a time: `cols` and row strides multiples of 8,
  /// addresses of 16 bytes.
  static int vector(long cols, Tensor... tensors) {
    if (cols % 8 != 0) {
      return 0;
    }
    for (Tensor tensor : tensors) {
      if (!isVector(tensor)) {
        return 0;
      }
    }
    return 1;
  }

  /// Whether every row of a tensor starts at a multiple of 16 bytes; a vector is one row.
  static boolean isVector(Tensor tensor) {
    boolean oneRow = tensor.rows() <= 1 || (tensor.shape().rank() == 1 && tensor.isContiguous());
    return DeviceStorage.pointer(tensor).address() % 16 == 0
        && (oneRow || tensor.rowStride() * tensor.dtype().bytes() % 16 == 0);
  }

  @Override
  public void close() {
    modules.values().forEach(Module::close);
    modules.clear();
  }
}
