package dev.gatun.bench;

import com.sun.management.OperatingSystemMXBean;
import dev.gatun.InputException;
import dev.gatun.data.Dataset;
import dev.gatun.data.OverlongPolicy;
import dev.gatun.data.PreparedDataset;
import dev.gatun.data.Row;
import dev.gatun.data.SftDataOptions;
import dev.gatun.data.SftPreparation;
import dev.gatun.text.Tokenizer;
import java.io.PrintWriter;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `gatun bench tokenize`.
@Command(
    name = "tokenize",
    mixinStandardHelpOptions = true,
    description =
        "Times the tokenisation of a data file: the tokenizer alone on one thread and on all, and"
            + " everything from the file to training rows. benchmarks/tokenize_peer.py times the"
            + " same in Python.")
final class TokenizeCommand implements Callable<Integer> {
  @Parameters(paramLabel = "FILE", description = "Rows with prompt and completion, or with text.")
  private Path file;

  @Option(
      names = "--tokenizer",
      required = true,
      paramLabel = "DIR",
      description = "A checkpoint's folder, or a tokenizer.json.")
  private Path tokenizer;

  @Option(
      names = "--samples",
      paramLabel = "N",
      description = "The best and the median of so many runs (default: ${DEFAULT-VALUE}).")
  private int samples = 7;

  @Option(names = "--json", paramLabel = "FILE", description = "Write the figures here too.")
  private @Nullable Path json;

  @Spec private CommandSpec spec;

  /// What runs took.
  ///
  /// @param best seconds of the fastest
  /// @param median seconds of the one in the middle
  /// @param cpu least processor time of one, over all threads, in seconds
  /// @param tokens that came out of one
  private record Timing(double best, double median, double cpu, long tokens) {}

  @Override
  public Integer call() {
    if (samples < 1) {
      throw new InputException("--samples is %d; take at least 1".formatted(samples));
    }
    Dataset dataset = Dataset.open(file);
    List<String> texts = new ArrayList<>();
    dataset.forEach(row -> texts.add(text(row)));
    long bytes = texts.stream().mapToLong(t -> t.getBytes(StandardCharsets.UTF_8).length).sum();
    PrintWriter out = spec.commandLine().getOut();
    out.printf(
        Locale.ROOT,
        "%d texts, %.2f MB of UTF-8, %d processors%n",
        texts.size(),
        bytes / 1e6,
        Runtime.getRuntime().availableProcessors());
    Map<String, Object> report = new LinkedHashMap<>();
    report.put("texts", texts.size());
    report.put("bytes", bytes);
    SftDataOptions options = SftDataOptions.defaults().withMaxLength(null, OverlongPolicy.ERROR);
    try (Tokenizer opened = Tokenizer.open(tokenizer)) {
      Map<String, LongSupplier> work = new LinkedHashMap<>();
      work.put(
          "encode_one_thread",
          () -> texts.stream().mapToLong(text -> opened.encode(text, true).length).sum());
      work.put(
          "encode_all_threads",
          () -> opened.encodeAll(texts, true).stream().mapToLong(ids -> ids.length).sum());
      work.put("file_to_rows", () -> prepare(dataset, opened, options));
      work.forEach((name, run) -> {
        Timing timing = time(run);
        print(out, name, timing, texts.size(), bytes);
        report.put(
            name,
            Map.of(
                "best_s",
                timing.best(),
                "median_s",
                timing.median(),
                "cpu_s",
                timing.cpu(),
                "tokens",
                timing.tokens()));
      });
    }
    Bench.write(json, report);
    return 0;
  }

  private static String text(Row row) {
    if (row.value("text") instanceof String text) {
      return text;
    }
    if (row.value("prompt") instanceof String prompt
        && row.value("completion") instanceof String completion) {
      return prompt + completion;
    }
    throw new InputException(row.where() + " has neither text nor prompt and completion as texts");
  }

  private static long prepare(Dataset dataset, Tokenizer tokenizer, SftDataOptions options) {
    try (PreparedDataset rows = SftPreparation.prepare(dataset, tokenizer, options)) {
      return rows.report().tokens();
    }
  }

  private Timing time(LongSupplier work) {
    long tokens = work.getAsLong();
    double[] seconds = new double[samples];
    double cpu = Double.POSITIVE_INFINITY;
    for (int i = 0; i < samples; i++) {
      long cpuStart = cpuTime();
      long start = System.nanoTime();
      work.getAsLong();
      seconds[i] = (System.nanoTime() - start) / 1e9;
      cpu = Math.min(cpu, (cpuTime() - cpuStart) / 1e9);
    }
    Arrays.sort(seconds);
    return new Timing(seconds[0], seconds[samples / 2], cpu, tokens);
  }

  private static long cpuTime() {
    return ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class).getProcessCpuTime();
  }

  private static void print(PrintWriter out, String name, Timing timing, int texts, long bytes) {
    out.printf(
        Locale.ROOT,
        "%-20s best %.3f s, median %.3f s: %.0f rows/s, %.2f MB/s, %.2f M tokens/s;"
            + " processor %.3f s: %.0f rows/s, %.2f MB/s a core%n",
        name,
        timing.best(),
        timing.median(),
        texts / timing.best(),
        bytes / 1e6 / timing.best(),
        timing.tokens() / 1e6 / timing.best(),
        timing.cpu(),
        texts / timing.cpu(),
        bytes / 1e6 / timing.cpu());
    out.flush();
  }
}
