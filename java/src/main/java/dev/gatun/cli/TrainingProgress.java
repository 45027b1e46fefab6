package dev.gatun.cli;

import dev.gatun.data.PreparationReport;
import dev.gatun.data.TrainedText;
import dev.gatun.train.ProgressLines;
import dev.gatun.train.TrainingEvent;
import dev.gatun.train.TrainingEvent.Evaluated;
import dev.gatun.train.TrainingEvent.Finished;
import dev.gatun.train.TrainingEvent.Notice;
import dev.gatun.train.TrainingEvent.Saved;
import dev.gatun.train.TrainingEvent.Started;
import dev.gatun.train.TrainingEvent.StepFinished;
import dev.gatun.train.TrainingListener;
import java.io.PrintWriter;
import java.util.Locale;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;
import org.jspecify.annotations.Nullable;

/// Shows a run as it goes: a progress bar on a terminal, a line every so many updates elsewhere.
final class TrainingProgress implements TrainingListener, AutoCloseable {
  private final PrintWriter out;
  private final Terminal terminal;
  private final double loggingSteps;
  private ProgressLines lines;
  private @Nullable ProgressBar bar;
  private long memoryBytes;

  /// @param loggingSteps updates between two lines; below 1 a share of all updates
  TrainingProgress(PrintWriter out, Terminal terminal, double loggingSteps) {
    this.out = out;
    this.terminal = terminal;
    this.loggingSteps = loggingSteps;
    lines = lines(1);
  }

  @Override
  public void on(TrainingEvent event) {
    switch (event) {
      case Started started -> start(started);
      case StepFinished step -> {
        if (bar == null) {
          lines.on(step);
        } else {
          bar.stepTo(step.step());
          bar.setExtraMessage(figures(step));
        }
      }
      case Evaluated evaluated -> beside(evaluated);
      case Saved saved -> beside(saved);
      case Notice notice -> beside(notice);
      case Finished finished -> {
        close();
        lines.on(finished);
      }
    }
  }

  @Override
  public void close() {
    if (bar != null) {
      bar.close();
      bar = null;
    }
  }

  private void start(Started started) {
    int updates = started.schedule().updates();
    memoryBytes = started.plan().totalBytes();
    double every = loggingSteps < 1 ? Math.ceil(loggingSteps * updates) : loggingSteps;
    lines = lines((int) Math.max(1, every));
    lines.on(started);
    report("training data", started.training());
    TrainedText sample = started.training().figures().sample();
    if (sample != null) {
      out.println("the first row, trained parts marked:");
      out.println(sample.marked(terminal::highlight));
    }
    started.evaluation().forEach(this::report);
    if (terminal.interactive()) {
      bar =
          new ProgressBarBuilder()
              .setTaskName("training")
              .setInitialMax(updates)
              .setStyle(
                  terminal.colors()
                      ? ProgressBarStyle.COLORFUL_UNICODE_BLOCK
                      : ProgressBarStyle.UNICODE_BLOCK)
              .setUpdateIntervalMillis(100)
              .hideEta()
              .build();
    }
  }

  private void report(String what, PreparationReport report) {
    out.printf(
        "%s: %s of the tokens are trained, the end of text in %s of the rows, the longest row has %d"
            + " tokens%s%n",
        what,
        Sizes.share(report.trainedTokens(), report.tokens()),
        Sizes.share(report.eosTrainedRows(), report.keptRows()),
        report.longest(),
        report.overlongRows() > 0 ? ", more than max_length" : "");
    if (report.truncatedRows() + report.droppedOverlong() + report.droppedUntrained() > 0) {
      out.printf(
          "%s: %d rows were cut (%s tokens); left out: %d for their length, %d with nothing to"
              + " train%n",
          what,
          report.truncatedRows(),
          Sizes.count(report.cutTokens()),
          report.droppedOverlong(),
          report.droppedUntrained());
    }
    out.flush();
  }

  private String figures(StepFinished step) {
    return String.format(
        Locale.ROOT,
        "loss %.4f  %,.0f tokens/s%s  %s  ETA %s",
        step.loss(),
        step.tokensPerSecond(),
        ProgressLines.shareOfPeak(step),
        Sizes.bytes(memoryBytes),
        Sizes.time(step.remaining()));
  }

  /// A line that stays. The bar redraws the line above the cursor: the new line takes the bar's
  /// place, and an empty one below it becomes the bar's.
  private void beside(TrainingEvent event) {
    if (bar == null) {
      lines.on(event);
      return;
    }
    bar.pause();
    out.print("\u001b[1A\r\u001b[K");
    lines.on(event);
    out.println();
    out.flush();
    bar.resume();
  }

  private ProgressLines lines(int everySteps) {
    return new ProgressLines(
        line -> {
          out.println(line);
          out.flush();
        },
        everySteps);
  }
}
