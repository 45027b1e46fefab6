package dev.gatun.bench;

import dev.gatun.cpu.CpuBackend;
import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.Arrays;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/// `y = x·Wᵀ` in F32 on the CPU backend, packing included, in GFLOP/s (the counter `gflop`).
/// Compare with [FmaPeakBenchmark] of the same run.
@State(Scope.Benchmark)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(
    value = 1,
    jvmArgsAppend = {"--add-modules=jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED"})
public class CpuGemmBenchmark {
  /// Rows of x, columns of x, rows of W.
  @Param({"512x512x512", "1024x1024x1024", "1024x192x512"})
  public String shape;

  /// `simd` or `plain`.
  @Param({"simd", "plain"})
  public String kernels;

  @Param({"1", "2"})
  public int threads;

  private Backend backend;
  private TensorArena arena;
  private Tensor x;
  private Weight weight;
  private Tensor y;
  private double flops;

  /// JMH reports this as a rate: 10⁹ floating-point operations a second.
  @State(Scope.Thread)
  @AuxCounters(AuxCounters.Type.OPERATIONS)
  public static class Work {
    public double gflop;
  }

  @Setup
  public void allocate() {
    backend = kernels.equals("simd") ? CpuBackend.create(threads) : CpuBackend.createPlain(threads);
    int[] sizes = Arrays.stream(shape.split("x")).mapToInt(Integer::parseInt).toArray();
    arena = backend.arena("benchmark", 64L << 20);
    x = filled(sizes[0], sizes[1]);
    weight = new Weight.Dense(filled(sizes[2], sizes[1]));
    y = arena.allocate(DType.F32, Shape.of(sizes[0], sizes[2]));
    flops = 2.0 * sizes[0] * sizes[1] * sizes[2];
  }

  private Tensor filled(int rows, int cols) {
    float[] values = new float[rows * cols];
    for (int i = 0; i < values.length; i++) {
      values[i] = (i % 17 - 8) / 8f;
    }
    Tensor tensor = arena.allocate(DType.F32, Shape.of(rows, cols));
    backend.upload(tensor, Tensor.ofFloats(tensor.shape(), values));
    return tensor;
  }

  @Benchmark
  public void multiply(Work work) {
    backend.matmul().logits(y, x, weight, null, null, arena);
    work.gflop += flops * 1e-9;
  }

  @TearDown
  public void free() {
    backend.close();
  }
}
