package dev.gatun.cuda;

import dev.gatun.bindings.cuda.Cuda;
import java.lang.foreign.MemorySegment;

/// One entry of a module, launched with a record of its parameters. The record's components are the
/// kernel's parameters in order: [DevicePtr] for a pointer, `int`, `long`, `float`, `double`,
/// `short`, and [TensorMap] by value. Launching allocates nothing and may be done by any thread.
///
/// @param <P> the parameter record
public final class Kernel<P extends Record> {
  private static final int DEFAULT_SHARED_BYTES = 48 << 10;

  private final Module module;
  private final String name;
  private final MemorySegment function;
  private final ThreadLocal<ArgumentBlock> blocks;
  private volatile int sharedBytes = DEFAULT_SHARED_BYTES; // what the function may use by now

  Kernel(Module module, String name, MemorySegment function, Class<P> parameters) {
    ArgumentLayout layout = ArgumentLayout.of(parameters);
    this.module = module;
    this.name = name;
    this.function = function;
    this.blocks = ThreadLocal.withInitial(() -> new ArgumentBlock(layout));
  }

  public String name() {
    return name;
  }

  /// Queues the kernel on a stream. The values of `parameters` are copied; the memory that they
  /// point to must stay until the kernel has run.
  ///
  /// @throws CudaException if the driver refuses the launch, or, in the context's blocking mode, if
  ///   the kernel fails; the message names the kernel, its geometry and its arguments
  public void launch(LaunchConfig config, Stream stream, P parameters) {
    module.requireOpen();
    Context context = module.context();
    if (stream.context() != context) {
      context.requireSame(stream.context(), stream.toString());
    }
    MemorySegment queue = stream.enter();
    if (config.dynamicSharedBytes() > sharedBytes) {
      raiseShared(config.dynamicSharedBytes());
    }
    LaunchEvent event = LaunchEvent.begun();
    int status = blocks.get().launch(function, config, queue, parameters);
    if (event != null) {
      event.end(name, config);
    }
    if (status != 0) {
      throw CudaException.of(status, "launch of " + describe(config, stream, parameters));
    }
    if (context.isBlocking() && !stream.isCapturing()) {
      int result = Cuda.cuStreamSynchronize(queue);
      if (result != 0) {
        throw CudaException.of(result, "kernel " + describe(config, stream, parameters));
      }
    }
  }

  /// Blocks of this kernel that one multiprocessor holds at a time.
  public int blocksPerMultiprocessor(int threads, int dynamicSharedBytes) {
    module.requireOpen();
    module.context().makeCurrent();
    if (dynamicSharedBytes > sharedBytes) {
      raiseShared(dynamicSharedBytes);
    }
    return DriverModules.blocksPerMultiprocessor(function, name, threads, dynamicSharedBytes);
  }

  /// Registers that each thread takes on this device.
  public int registers() {
    module.requireOpen();
    module.context().makeCurrent();
    return DriverModules.functionAttribute(function, name, Cuda.CU_FUNC_ATTRIBUTE_NUM_REGS());
  }

  @Override
  public String toString() {
    return "kernel " + name;
  }

  private synchronized void raiseShared(int bytes) {
    int limit = module.context().device().limits().sharedPerBlock();
    if (bytes > limit) {
      throw new IllegalArgumentException(
          "kernel %s asks for %d bytes of shared memory a block and %s has %d"
              .formatted(name, bytes, module.context().device(), limit));
    }
    if (bytes > sharedBytes) {
      DriverModules.functionAttribute(
          function, name, Cuda.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES(), bytes);
      sharedBytes = bytes;
    }
  }

  private String describe(LaunchConfig config, Stream stream, P parameters) {
    return "%s(%s) of module %s with %s on %s"
        .formatted(name, parameters, module.name(), config, stream);
  }
}
