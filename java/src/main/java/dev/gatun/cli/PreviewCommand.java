package dev.gatun.cli;

import dev.gatun.InputException;
import dev.gatun.data.DataChecks;
import dev.gatun.data.DataFinding;
import dev.gatun.data.Dataset;
import dev.gatun.data.OverlongPolicy;
import dev.gatun.data.PreparationReport;
import dev.gatun.data.PreparedDataset;
import dev.gatun.data.SampleOrder;
import dev.gatun.data.SftDataOptions;
import dev.gatun.data.SftPreparation;
import dev.gatun.data.TrainedText;
import dev.gatun.text.Tokenizer;
import dev.gatun.train.SftConfig;
import dev.gatun.train.SftConfigReader;
import dev.gatun.train.TrainingRecipe;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/// `gatun preview`.
@Command(
    name = "preview",
    description =
        "Shows what training would see: decoded rows with the trained parts marked, lengths, cuts,"
            + " repeats, packing. Exits with 2 if training would refuse the data.")
final class PreviewCommand implements Callable<Integer> {
  @Parameters(paramLabel = "CONFIG", description = "The configuration of a training run.")
  private Path config;

  @Option(
      names = "--set",
      paramLabel = "KEY=VALUE",
      description = "Overrides a key of the configuration; repeatable.")
  private List<String> overrides = List.of();

  @Option(
      names = "--rows",
      paramLabel = "N",
      description = "How many rows to show (default: ${DEFAULT-VALUE}).")
  private int shown = 5;

  @Option(names = "--eval", description = "Show rows of the evaluation data instead.")
  private boolean evaluation;

  @Option(names = "--json", description = "All figures as one JSON object.")
  private boolean json;

  @ParentCommand private Gatun parent;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    SftConfigReader.Loaded loaded = SftConfigReader.read(config, overrides);
    SftConfig settings = loaded.config();
    List<Path> evaluationFiles = settings.data().evalDatasetPath();
    if (evaluation && evaluationFiles.isEmpty()) {
      throw new InputException("--eval shows evaluation data, and eval_dataset_path is not set.");
    }
    try (Tokenizer tokenizer =
            Tokenizer.open(settings.model().tokenizer(), settings.model().addedTokens());
        PreparedDataset rows =
            SftPreparation.prepare(
                Dataset.of(settings.data().datasetPath()), tokenizer, lenient(settings, false));
        @Nullable PreparedDataset other =
            evaluationFiles.isEmpty()
                ? null
                : SftPreparation.prepare(
                    Dataset.of(evaluationFiles), tokenizer, lenient(settings, true))) {
      List<DataFinding> findings =
          findings(settings, TrainingRecipe.checks(settings, tokenizer), rows, other);
      PreparedDataset chosen = evaluation && other != null ? other : rows;
      PrintWriter out = spec.commandLine().getOut();
      if (json) {
        out.println(
            PreviewJson.of(
                rows, padding(settings, rows), other, findings, rows(tokenizer, chosen)));
      } else {
        loaded.notices().forEach(notice -> out.println("notice: " + notice));
        rows(tokenizer, chosen).forEach(row -> print(out, row));
        report(out, settings, rows, other);
        findings.forEach(finding ->
            out.println((finding.stops() ? "training stops: " : "notice: ") + finding.message()));
      }
      return findings.stream().anyMatch(DataFinding::stops) ? 2 : 0;
    }
  }

  /// Whether rows over `max_length` stop training.
  private static boolean strict(SftConfig config, boolean evaluation) {
    SftDataOptions options = TrainingRecipe.dataOptions(config, evaluation);
    return options.overlong() == OverlongPolicy.ERROR && !options.packing();
  }

  /// Where the length alone stops training, that is said instead of what a cut would do.
  private static List<DataFinding> findings(
      SftConfig config,
      DataChecks checks,
      PreparedDataset rows,
      @Nullable PreparedDataset evaluation) {
    List<DataFinding> findings = new ArrayList<>();
    for (boolean second : new boolean[] {false, true}) {
      PreparedDataset data = second ? evaluation : rows;
      if (data != null && strict(config, second) && data.report().overlongRows() > 0) {
        findings.add(DataFinding.overlong(data.report(), second));
      }
    }
    boolean cut = !findings.isEmpty();
    checks.of(rows, evaluation).stream()
        .filter(finding -> !cut || finding.kind() == DataFinding.Kind.TRAIN_EVAL_LEAK)
        .forEach(findings::add);
    return findings;
  }

  /// Options under which rows that would stop training can be looked at.
  private static SftDataOptions lenient(SftConfig config, boolean evaluation) {
    SftDataOptions options = TrainingRecipe.dataOptions(config, evaluation);
    return strict(config, evaluation)
        ? options.withMaxLength(options.maxLength(), OverlongPolicy.TRUNCATE)
        : options;
  }

  private List<PreviewJson.ShownRow> rows(Tokenizer tokenizer, PreparedDataset rows) {
    return IntStream.range(0, Math.min(shown, rows.size()))
        .mapToObj(row -> row(tokenizer, rows, row))
        .toList();
  }

  private static PreviewJson.ShownRow row(Tokenizer tokenizer, PreparedDataset rows, int row) {
    List<TrainedText> samples = new ArrayList<>();
    int start = 0;
    for (int length : rows.sequenceLengths(row)) {
      samples.add(
          TrainedText.of(tokenizer, rows.inputIds(row), rows.labels(row), start, start + length));
      start += length;
    }
    return new PreviewJson.ShownRow(
        row + 1, rows.source(row), rows.length(row), rows.targetCount(row), samples);
  }

  private void print(PrintWriter out, PreviewJson.ShownRow row) {
    out.printf(
        "--- row %d  %s  %d tokens, %d trained%s%n",
        row.row(),
        row.source(),
        row.tokens(),
        row.trainedTokens(),
        row.samples().size() > 1 ? ", " + row.samples().size() + " documents" : "");
    row.samples().forEach(sample -> out.println(sample.marked(parent.terminal()::highlight)));
  }

  private static void report(
      PrintWriter out, SftConfig settings, PreparedDataset rows, @Nullable PreparedDataset other) {
    report(out, "training data", rows.report(), strict(settings, false));
    Double padding = padding(settings, rows);
    if (padding != null) {
      out.printf(
          Locale.ROOT,
          "without packing: batches hold no padding here; padded to their longest row they would be"
              + " %.1f %% padding%n",
          100 * padding);
    }
    if (other != null) {
      report(out, "evaluation data", other.report(), strict(settings, true));
    }
  }

  private static void report(
      PrintWriter out, String what, PreparationReport report, boolean strict) {
    out.printf("--- %s: %d rows%n", what, report.preparedRows());
    new DataReport(out).print(report, strict);
    report.notices().forEach(notice -> out.println("notice: " + notice));
  }

  /// The share of padding if the first epoch's batches were padded to their longest row; null if
  /// rows are packed.
  private static @Nullable Double padding(SftConfig config, PreparedDataset rows) {
    if (config.data().packing()) {
      return null;
    }
    SftConfig.Loop loop = config.loop();
    int[] order =
        loop.trainSamplingStrategy() == SftConfig.SamplingStrategy.SEQUENTIAL
            ? SampleOrder.sequential(rows.size())
            : SampleOrder.random(loop.orderSeed(), 0, rows.size());
    long tokens = 0;
    long padded = 0;
    for (int[] batch :
        SampleOrder.microBatches(
            order, loop.perDeviceTrainBatchSize(), loop.dataloaderDropLast())) {
      tokens += IntStream.of(batch).mapToLong(rows::length).sum();
      padded += (long) batch.length * IntStream.of(batch).map(rows::length).max().orElse(0);
    }
    return padded == 0 ? 0.0 : 1 - (double) tokens / padded;
  }
}
