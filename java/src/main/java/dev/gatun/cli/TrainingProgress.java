package dev.gatun.cli;

import dev.gatun.data.PreparationReport;
import dev.gatun.train.EvaluationResult;
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

/// Shows a run as it goes: a progress bar on a terminal, a line every so many steps elsewhere.
final class TrainingProgress implements TrainingListener, AutoCloseable {
  private final PrintWriter out;
  private final Terminal terminal;
  private final double loggingSteps;
  private @Nullable ProgressBar bar;

  /// @param loggingSteps steps between two lines; below 1 a share of all steps
  TrainingProgress(PrintWriter out, Terminal terminal, double loggingSteps) {
    this.out = out;
    this.terminal = terminal;
    this.loggingSteps = loggingSteps;
  }

  @Override
  public void on(TrainingEvent event) {
    switch (event) {
      case Started started -> started(started);
      case StepFinished step -> step(step);
      case Evaluated evaluated -> evaluated(evaluated);
      case Saved saved -> say("saved " + saved.directory() + " after step " + saved.step());
      case Notice notice -> say("note: " + notice.message());
      case Finished finished -> finished(finished);
    }
  }

  @Override
  public void close() {
    if (bar != null) {
      bar.close();
      bar = null;
    }
  }

  private void started(Started started) {
    out.print(started.plan().table());
    data("training data", started.training());
    PreparationReport evaluation = started.evaluation();
    if (evaluation != null) {
      data("evaluation data", evaluation);
    }
    out.printf(
        "training %s parameters for %d steps (%d an epoch)%n",
        Sizes.count(started.trainableParameters()),
        started.schedule().updates(),
        started.schedule().updatesPerEpoch());
    out.flush();
    if (terminal.interactive()) {
      bar =
          new ProgressBarBuilder()
              .setTaskName("training")
              .setInitialMax(started.schedule().updates())
              .setStyle(
                  terminal.colors()
                      ? ProgressBarStyle.COLORFUL_UNICODE_BLOCK
                      : ProgressBarStyle.UNICODE_BLOCK)
              .setUpdateIntervalMillis(100)
              .hideEta()
              .build();
    }
  }

  private void data(String what, PreparationReport report) {
    out.printf(
        "%s: %d rows, %s tokens (%s trained), longest %d; the end of text is trained in %s of rows%n",
        what,
        report.sourceRows(),
        Sizes.count(report.tokens()),
        Sizes.share(report.trainedTokens(), report.tokens()),
        report.longest(),
        Sizes.share(
            report.eosTrainedRows(),
            report.sourceRows() - report.droppedOverlong() - report.droppedUntrained()));
    if (report.truncatedRows() + report.droppedOverlong() + report.droppedUntrained() > 0) {
      out.printf(
          "  cut: %d rows lost %s tokens; left out: %d rows for their length, %d with nothing to"
              + " train%n",
          report.truncatedRows(),
          Sizes.count(report.cutTokens()),
          report.droppedOverlong(),
          report.droppedUntrained());
    }
  }

  private void step(StepFinished step) {
    String figures =
        String.format(
            Locale.ROOT,
            "loss %.4f  grad norm %.3f  lr %.2e  %.0f tokens/s  ETA %s",
            step.loss(),
            step.gradientNorm(),
            step.learningRate(),
            step.tokensPerSecond(),
            Sizes.time(step.remaining()));
    if (bar != null) {
      bar.stepTo(step.step());
      bar.setExtraMessage(figures);
    } else if (isDue(step.step(), step.steps())) {
      out.printf("step %d/%d  %s%n", step.step(), step.steps(), figures);
      out.flush();
    }
  }

  private boolean isDue(int step, int steps) {
    long every =
        Math.max(1, (long) Math.ceil(loggingSteps < 1 ? loggingSteps * steps : loggingSteps));
    return step == 1 || step == steps || step % every == 0;
  }

  private void evaluated(Evaluated evaluated) {
    EvaluationResult result = evaluated.result();
    say(
        String.format(
            Locale.ROOT,
            "step %d  evaluation loss %.4f (mean over rows, as TRL has it: %.4f)  perplexity %.3f",
            evaluated.step(),
            result.loss(),
            result.rowWeightedLoss(),
            result.perplexity()));
  }

  private void finished(Finished finished) {
    close();
    out.printf(
        Locale.ROOT,
        "%s after %d steps in %s, mean loss %.4f; output in %s%n",
        finished.stopped() ? "stopped" : "done",
        finished.step(),
        Sizes.time(finished.elapsed()),
        finished.trainLoss(),
        finished.directory());
    out.flush();
  }

  /// A line that stays; the bar redraws below it.
  private void say(String line) {
    if (bar != null) {
      bar.pause();
      out.print("\r\u001b[K");
    }
    out.println(line);
    out.flush();
    if (bar != null) {
      bar.resume();
    }
  }
}
