package dev.gatun.cli;

import dev.gatun.data.Dataset;
import dev.gatun.data.OverlongPolicy;
import dev.gatun.data.PackedBatch;
import dev.gatun.data.PreparationReport;
import dev.gatun.data.PreparedDataset;
import dev.gatun.data.SftDataOptions;
import dev.gatun.data.SftPreparation;
import dev.gatun.text.Tokenizer;
import dev.gatun.train.SftConfig;
import dev.gatun.train.SftConfigReader;
import dev.gatun.train.TrainingRecipe;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
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
        "Shows what training would see: decoded rows with the trained parts marked, lengths, cuts.")
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

  @Option(names = "--eval", description = "Show the evaluation data instead.")
  private boolean evaluation;

  @ParentCommand private Gatun parent;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    SftConfigReader.Loaded loaded = SftConfigReader.read(config, overrides);
    loaded.notices().forEach(notice -> out.println("notice: " + notice));
    SftConfig settings = loaded.config();
    SftDataOptions options = TrainingRecipe.dataOptions(settings, evaluation);
    boolean strict = options.overlong() == OverlongPolicy.ERROR && !options.packing();
    SftDataOptions lenient =
        strict ? options.withMaxLength(options.maxLength(), OverlongPolicy.TRUNCATE) : options;
    List<Path> files =
        evaluation ? settings.data().evalDatasetPath() : settings.data().datasetPath();
    try (Tokenizer tokenizer =
            Tokenizer.open(settings.model().tokenizer(), settings.model().addedTokens());
        PreparedDataset rows = SftPreparation.prepare(Dataset.of(files), tokenizer, lenient)) {
      for (int row = 0; row < Math.min(shown, rows.size()); row++) {
        print(out, tokenizer, rows, row);
      }
      lengths(out, rows);
      report(out, rows.report(), strict);
    }
    return 0;
  }

  private void print(PrintWriter out, Tokenizer tokenizer, PreparedDataset rows, int row) {
    int[] lengths = rows.sequenceLengths(row);
    out.printf(
        "--- row %d  %s  %d tokens, %d trained%s%n",
        row + 1,
        rows.source(row),
        rows.length(row),
        rows.targetCount(row),
        lengths.length > 1 ? ", " + lengths.length + " documents" : "");
    int start = 0;
    for (int length : lengths) {
      out.println(marked(tokenizer, rows.inputIds(row), rows.labels(row), start, start + length));
      start += length;
    }
  }

  /// One document, decoded run by run of trained and other tokens. Nothing predicts a document's
  /// first token, so it is never trained.
  private String marked(Tokenizer tokenizer, int[] ids, int[] labels, int start, int end) {
    StringBuilder text = new StringBuilder();
    int from = start;
    while (from < end) {
      boolean trained = from > start && labels[from] != PackedBatch.IGNORE_INDEX;
      int to = from + 1;
      while (to < end && (labels[to] != PackedBatch.IGNORE_INDEX) == trained) {
        to++;
      }
      String run = tokenizer.decode(Arrays.copyOfRange(ids, from, to), false);
      text.append(trained ? parent.terminal().highlight(run) : run);
      from = to;
    }
    return text.toString();
  }

  private static void lengths(PrintWriter out, PreparedDataset rows) {
    int[] sorted = IntStream.range(0, rows.size()).map(rows::length).sorted().toArray();
    out.printf(
        "--- %d rows of %d to %d tokens, half of them at most %d, nine of ten at most %d%n",
        sorted.length,
        sorted[0],
        sorted[sorted.length - 1],
        sorted[sorted.length / 2],
        sorted[sorted.length * 9 / 10]);
  }

  private static void report(PrintWriter out, PreparationReport report, boolean strict) {
    long kept = report.sourceRows() - report.droppedOverlong() - report.droppedUntrained();
    out.printf(
        "trained: %s of %s tokens; the end of text is trained in %s of the rows%n",
        Sizes.share(report.trainedTokens(), report.tokens()),
        Sizes.count(report.tokens()),
        Sizes.share(report.eosTrainedRows(), kept));
    if (report.overlongRows() > 0) {
      out.printf(
          "longer than max_length: %d rows, the longest has %d tokens; %s%n",
          report.overlongRows(),
          report.longest(),
          strict
              ? "with overlong_policy: error training would refuse them"
              : report.cutTokens()
                  + " tokens are cut, "
                  + report.droppedOverlong()
                  + " rows left out");
    }
    if (report.droppedUntrained() > 0) {
      out.printf("left out: %d rows without a trained token%n", report.droppedUntrained());
    }
    report.notices().forEach(notice -> out.println("notice: " + notice));
  }
}
