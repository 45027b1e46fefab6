package dev.gatun.bench;

import dev.gatun.cuda.op.CudaBackend;
import dev.gatun.op.Backend;
import dev.gatun.op.Projection;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.function.Function;
import java.util.regex.Pattern;

/// Times ops at real shapes, and holds each against what the same device does at best in the same
/// run: a copy of memory, and a dense matrix product.
final class KernelBench implements AutoCloseable {
  private static final long COPY_BYTES = 1L << 30;

  private final Backend backend;
  private final Stopwatch stopwatch;
  private final RandomPool values;
  private final Plan plan;

  /// What to measure.
  ///
  /// @param filter found anywhere in a case's name
  /// @param samples whose median counts
  record Plan(ModelShape model, Pattern filter, int samples) {}

  /// The device at its best.
  ///
  /// @param bytesPerSecond of a large copy, read and written bytes
  /// @param flopsPerSecond of a dense product in the activation type
  record Ceilings(double bytesPerSecond, double flopsPerSecond) {}

  /// A case and the seconds it takes.
  ///
  /// @param bareSeconds what its bare products take, where it has them
  record Result(KernelCase measured, double seconds, OptionalDouble bareSeconds) {
    double bytesPerSecond() {
      return measured.bytes() / seconds;
    }

    double flopsPerSecond() {
      return measured.flops() / seconds;
    }

    /// Its time over that of the bare products.
    OptionalDouble ratio() {
      return bareSeconds.isEmpty()
          ? bareSeconds
          : OptionalDouble.of(seconds / bareSeconds.getAsDouble());
    }

    /// The share of the nearer of the two ceilings: 1 is as fast as the device can be.
    double share(Ceilings ceilings) {
      return Math.max(
          bytesPerSecond() / ceilings.bytesPerSecond(),
          flopsPerSecond() / ceilings.flopsPerSecond());
    }
  }

  KernelBench(Backend backend, Stopwatch stopwatch, Plan plan) {
    this.backend = backend;
    this.stopwatch = stopwatch;
    this.plan = plan;
    this.values = new RandomPool(backend, 1);
  }

  /// All cases of a plan, in order.
  static List<KernelCase> cases(Plan plan, DType activationType) {
    List<KernelCase> all = new ArrayList<>(LinearCases.of(plan.model(), activationType));
    all.addAll(RatioCases.of(plan.model(), activationType));
    all.addAll(LoraCases.of(plan.model(), activationType));
    all.addAll(LayerCases.of(plan.model(), activationType));
    all.removeIf(c -> !plan.filter().matcher(c.name()).find());
    return all;
  }

  Ceilings ceilings() {
    return new Ceilings(copyRate(), productRate());
  }

  private double copyRate() {
    long elements =
        Math.min(COPY_BYTES, 64L * plan.model().tokens() * plan.model().hidden())
            / DType.BF16.bytes();
    if (backend instanceof CudaBackend gpu) {
      try (DeviceCopy copy = new DeviceCopy(gpu, elements * DType.BF16.bytes(), values)) {
        return 2.0 * elements * DType.BF16.bytes() / stopwatch.median(copy::run, plan.samples());
      }
    }
    try (Workplace place = new Workplace(backend, values)) {
      Tensor from = place.random(DType.BF16, elements);
      Tensor to = place.random(DType.BF16, elements);
      double seconds = stopwatch.median(() -> backend.tensor().copy(to, from), plan.samples());
      return 2.0 * elements * DType.BF16.bytes() / seconds;
    }
  }

  private double productRate() {
    int rows = plan.model().tokens();
    int out = plan.model().intermediate();
    int in = plan.model().hidden();
    try (Workplace place = new Workplace(backend, values)) {
      Weight weight = place.dense(out, in);
      List<Projection> projections = List.of(new Projection(weight, null, null));
      Tensor x = place.activation(rows, in);
      Tensor y = place.activation(rows, out);
      TensorArena scratch = place.arena(backend.matmul().scratchBytes(rows, projections));
      Runnable product =
          () ->
              backend
                  .matmul()
                  .forward(List.of(y), Arrays.asList((Tensor) null), x, null, projections, scratch);
      return 2.0 * rows * out * in / stopwatch.median(product, plan.samples());
    }
  }

  Result measure(KernelCase measured) {
    double seconds = seconds(measured.prepare());
    return new Result(
        measured,
        seconds,
        measured.bare() == null
            ? OptionalDouble.empty()
            : OptionalDouble.of(seconds(measured.bare())));
  }

  private double seconds(Function<Workplace, Runnable> prepare) {
    try (Workplace place = new Workplace(backend, values)) {
      return stopwatch.median(prepare.apply(place), plan.samples());
    }
  }

  @Override
  public void close() {
    values.close();
  }

  /// Measures everything, a line each, and returns what a JSON file should say.
  Map<String, Object> run(PrintWriter out) {
    Ceilings ceilings = ceilings();
    out.println(backend.description());
    out.printf(
        Locale.ROOT,
        "copy %.1f GB/s, dense product %.3f TFLOP/s%n%n",
        ceilings.bytesPerSecond() / 1e9,
        ceilings.flopsPerSecond() / 1e12);
    out.printf(
        "%-30s %-28s %12s %10s %10s %8s %8s%n",
        "op", "shape", "us", "GB/s", "TFLOP/s", "ceiling", "/bare");
    List<Object> rows = new ArrayList<>();
    for (KernelCase next : cases(plan, backend.activationType())) {
      Result result = measure(next);
      print(out, result, ceilings);
      rows.add(json(result, ceilings));
    }
    Map<String, Object> report = new LinkedHashMap<>();
    report.put("device", backend.description());
    report.put("samples", plan.samples());
    report.put("copy_bytes_per_second", ceilings.bytesPerSecond());
    report.put("product_flops_per_second", ceilings.flopsPerSecond());
    report.put("results", rows);
    return report;
  }

  private static void print(PrintWriter out, Result result, Ceilings ceilings) {
    KernelCase measured = result.measured();
    out.printf(
        Locale.ROOT,
        "%-30s %-28s %12.1f %10.1f %10s %7.1f%% %8s%n",
        measured.op(),
        measured.shape(),
        result.seconds() * 1e6,
        result.bytesPerSecond() / 1e9,
        measured.flops() == 0
            ? "-"
            : String.format(Locale.ROOT, "%.3f", result.flopsPerSecond() / 1e12),
        100 * result.share(ceilings),
        result.bareSeconds().isEmpty()
            ? "-"
            : String.format(Locale.ROOT, "%.3f", result.ratio().getAsDouble()));
    out.flush();
  }

  private static Map<String, Object> json(Result result, Ceilings ceilings) {
    KernelCase measured = result.measured();
    Map<String, Object> row = new LinkedHashMap<>();
    row.put("op", measured.op());
    row.put("shape", measured.shape());
    row.put("seconds", result.seconds());
    row.put("flops", measured.flops());
    row.put("bytes", measured.bytes());
    if (result.bareSeconds().isPresent()) {
      row.put("bare_seconds", result.bareSeconds().getAsDouble());
      row.put("ratio_to_bare", result.ratio().getAsDouble());
    }
    row.put("bandwidth_share", result.bytesPerSecond() / ceilings.bytesPerSecond());
    row.put("compute_share", result.flopsPerSecond() / ceilings.flopsPerSecond());
    return row;
  }
}
