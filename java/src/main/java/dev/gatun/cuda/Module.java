package dev.gatun.cuda;

import dev.gatun.FailureException;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.Optional;

/// PTX compiled for one device. The driver compiles at load and keeps the result in its own cache,
/// so that only the first process on a machine waits.
public final class Module implements AutoCloseable {
  private final Context context;
  private final String name;
  private final MemorySegment handle;
  private final Lifetime lifetime;

  private Module(Context context, String name, MemorySegment handle) {
    this.context = context;
    this.name = name;
    this.handle = handle;
    this.lifetime = Lifetime.start(context, this, "module " + name);
  }

  /// Loads one of our own modules, from `native/src/main/cuda/NAME.cu`, or from its variant for
  /// Hopper where there is one and the device is one.
  ///
  /// @throws FailureException if the kernels were not built in, or need a newer driver
  public static Module load(Context context, String name) {
    Optional<String> hopper =
        Target.SM90A.runsOn(context.device()) ? source(name, Target.SM90A) : Optional.empty();
    return hopper.isPresent()
        ? ofPtx(context, moduleName(name, Target.SM90A), hopper.get())
        : load(context, name, Target.SM80);
  }

  /// Loads one of our own modules as built for one target.
  ///
  /// @throws FailureException as [#load(Context, String)], or if the device is of another kind
  public static Module load(Context context, String name, Target target) {
    if (!target.runsOn(context.device())) {
      throw new FailureException(
          "module %s is built for %s and does not run on %s (compute capability %s)"
              .formatted(name, target, context, context.device().capabilityText()));
    }
    String ptx =
        source(name, target)
            .orElseThrow(() ->
                new FailureException(
                    "this build has no GPU kernels (%s is missing): build with the CUDA Toolkit 13, or run with --device cpu"
                        .formatted(target.resource(name))));
    return ofPtx(context, moduleName(name, target), ptx);
  }

  /// True if the build holds the module for the target.
  public static boolean exists(String name, Target target) {
    return Module.class.getResource(target.resource(name)) != null;
  }

  /// Loads PTX given as text.
  ///
  /// @param name for messages
  /// @throws CudaException with the compiler's log if the driver cannot compile it
  public static Module ofPtx(Context context, String name, String ptx) {
    PtxVersion version = PtxVersion.of(ptx);
    if (Driver.version() < version.requiredCuda()) {
      throw Driver.tooOld(
          Driver.version(), version.requiredCuda(), "module " + name + " (PTX " + version + ")");
    }
    context.makeCurrent();
    return new Module(context, name, DriverModules.load(name, ptx));
  }

  /// The PTX of one of our own modules, or empty if the build has none.
  static Optional<String> source(String name, Target target) {
    try (InputStream in = Module.class.getResourceAsStream(target.resource(name))) {
      return in == null
          ? Optional.empty()
          : Optional.of(new String(in.readAllBytes(), StandardCharsets.US_ASCII));
    } catch (IOException e) {
      throw new FailureException("cannot read " + target.resource(name) + " from the jar", e);
    }
  }

  /// An entry of the module and the record of its parameters.
  ///
  /// @throws CudaException `CUDA_ERROR_NOT_FOUND` if there is no such entry
  public <P extends Record> Kernel<P> kernel(String entry, Class<P> parameters) {
    requireOpen();
    context.makeCurrent();
    return new Kernel<>(this, entry, DriverModules.function(handle, name, entry), parameters);
  }

  /// The kernel that a spec names.
  ///
  /// @throws IllegalArgumentException if it is a kernel of another module
  public <P extends Record> Kernel<P> kernel(KernelSpec<P> spec) {
    if (!name.equals(moduleName(spec.module(), spec.target()))) {
      throw new IllegalArgumentException(spec + " is not of module " + name);
    }
    return kernel(spec.entry(), spec.parameters());
  }

  public Context context() {
    return context;
  }

  public String name() {
    return name;
  }

  @Override
  public void close() {
    lifetime.end(() -> DriverModules.unload(handle));
  }

  private static String moduleName(String name, Target target) {
    return switch (target) {
      case SM80 -> name;
      case SM90A -> name + " (sm_90a)";
    };
  }

  void requireOpen() {
    lifetime.requireOpen();
  }
}
