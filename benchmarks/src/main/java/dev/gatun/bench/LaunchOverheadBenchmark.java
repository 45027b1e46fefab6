package dev.gatun.bench;

import dev.gatun.cuda.Context;
import dev.gatun.cuda.Device;
import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.Kernel;
import dev.gatun.cuda.LaunchConfig;
import dev.gatun.cuda.Module;
import dev.gatun.cuda.Stream;
import java.util.concurrent.TimeUnit;
import jcuda.Pointer;
import jcuda.driver.CUfunction;
import jcuda.driver.CUmodule;
import jcuda.driver.JCudaDriver;
import org.jspecify.annotations.NullUnmarked;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/// What it costs the host to queue a kernel that returns at once, with three arguments: our
/// [Kernel] through the Foreign Function & Memory API, and JCuda's JNI. The queue is empty before
/// every batch of launches, and a batch fits into it.
@State(Scope.Thread)
@NullUnmarked
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 5, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(
    value = 1,
    jvmArgsAppend = {"--add-modules=jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED"})
public class LaunchOverheadBenchmark {
  private static final int LAUNCHES = 256;
  private static final int THREADS = 32;
  private static final String ENTRY = "nothing";
  private static final String PTX =
      """
      .version 7.0
      .target sm_80
      .address_size 64
      .visible .entry nothing(.param .u64 out, .param .u32 n, .param .u32 factor)
      {
        ret;
      }
      """;

  private record Nothing(DevicePtr out, int n, int factor) {}

  private Context context;
  private Stream stream;
  private Module module;
  private Kernel<Nothing> kernel;
  private LaunchConfig config;
  private Nothing parameters;

  private JCudaStream jcudaStream;
  private CUmodule jcudaModule;
  private CUfunction jcudaFunction;
  private Pointer jcudaParameters;

  /// Loads the kernel twice into one context.
  @Setup
  public void open() {
    context = Context.open(Device.of(0));
    stream = context.stream("launches");
    module = Module.ofPtx(context, ENTRY, PTX);
    kernel = module.kernel(ENTRY, Nothing.class);
    config = LaunchConfig.of(1, THREADS);
    parameters = new Nothing(DevicePtr.NULL, 0, 1);
    kernel.launch(config, stream, parameters);

    // The context is current on this thread now; JCuda takes the current one.
    JCudaDriver.setExceptionsEnabled(true);
    jcudaStream = new JCudaStream();
    JCudaDriver.cuStreamCreate(jcudaStream, 1);
    jcudaModule = new CUmodule();
    JCudaDriver.cuModuleLoadData(jcudaModule, PTX);
    jcudaFunction = new CUfunction();
    JCudaDriver.cuModuleGetFunction(jcudaFunction, jcudaModule, ENTRY);
    jcudaParameters = jcudaParameters();
  }

  private static Pointer jcudaParameters() {
    return Pointer.to(
        Pointer.to(new long[] {0}), Pointer.to(new int[] {0}), Pointer.to(new int[] {1}));
  }

  /// Empties the queues.
  @Setup(Level.Invocation)
  public void drain() {
    context.synchronize();
  }

  /// Our typed launch, a new parameter record each.
  @Benchmark
  @OperationsPerInvocation(LAUNCHES)
  public void gatun() {
    for (int i = 0; i < LAUNCHES; i++) {
      kernel.launch(config, stream, new Nothing(DevicePtr.NULL, i, 1));
    }
  }

  /// Our typed launch with one parameter record.
  @Benchmark
  @OperationsPerInvocation(LAUNCHES)
  public void gatunSameParameters() {
    for (int i = 0; i < LAUNCHES; i++) {
      kernel.launch(config, stream, parameters);
    }
  }

  /// JCuda as its samples use it: new arguments each.
  @Benchmark
  @OperationsPerInvocation(LAUNCHES)
  public void jcuda() {
    for (int i = 0; i < LAUNCHES; i++) {
      launch(jcudaParameters());
    }
  }

  /// JCuda with arguments made once.
  @Benchmark
  @OperationsPerInvocation(LAUNCHES)
  public void jcudaSameParameters() {
    for (int i = 0; i < LAUNCHES; i++) {
      launch(jcudaParameters);
    }
  }

  private void launch(Pointer arguments) {
    JCudaDriver.cuLaunchKernel(
        jcudaFunction, 1, 1, 1, THREADS, 1, 1, 0, jcudaStream, arguments, null);
  }

  /// Frees everything.
  @TearDown
  public void close() {
    context.synchronize();
    JCudaDriver.cuModuleUnload(jcudaModule);
    JCudaDriver.cuStreamDestroy(jcudaStream);
    module.close();
    stream.close();
    context.close();
  }
}
