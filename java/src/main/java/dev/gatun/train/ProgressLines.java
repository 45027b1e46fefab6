package dev.gatun.train;

import dev.gatun.train.TrainingEvent.Evaluated;
import dev.gatun.train.TrainingEvent.Finished;
import dev.gatun.train.TrainingEvent.Notice;
import dev.gatun.train.TrainingEvent.Saved;
import dev.gatun.train.TrainingEvent.Started;
import dev.gatun.train.TrainingEvent.StepFinished;
import java.time.Duration;
import java.util.Locale;
import java.util.OptionalDouble;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/// Tells a run's progress in plain lines, for logs and pipes. Updates are told every `everySteps`
/// and at the end.
public final class ProgressLines implements TrainingListener {
  private final Consumer<String> out;
  private final int everySteps;

  public ProgressLines(Consumer<String> out, int everySteps) {
    this.out = out;
    this.everySteps = Math.max(1, everySteps);
  }

  @Override
  public void on(TrainingEvent event) {
    switch (event) {
      case Started started -> start(started);
      case StepFinished step -> {
        if (step.step() == 1 || step.step() == step.steps() || step.step() % everySteps == 0) {
          out.accept(line(step));
        }
      }
      case Evaluated evaluated -> out.accept(line(evaluated));
      case Saved saved ->
          out.accept("step %d: saved %s".formatted(saved.step(), saved.directory()));
      case Finished finished ->
          out.accept(
              "%s after step %d in %s, mean loss %.4f: %s"
                  .formatted(
                      finished.stopped() ? "stopped" : "finished",
                      finished.step(),
                      clock(finished.elapsed()),
                      finished.trainLoss(),
                      finished.directory()));
      case Notice notice -> out.accept("notice: " + notice.message());
    }
  }

  private void start(Started started) {
    out.accept(started.plan().table().stripTrailing());
    out.accept(
        "training %,d parameters on %,d rows (%,d tokens, %,d trained) for %,d updates, %,d an epoch"
            .formatted(
                started.trainableParameters(),
                started.training().preparedRows(),
                started.training().tokens(),
                started.training().trainedTokens(),
                started.schedule().updates(),
                started.schedule().updatesPerEpoch()));
  }

  /// One update in a line: `step 10/60 loss 0.8123 grad norm 1.21 lr 2.00e-03 3210 tokens/s 41 % of
  /// peak ETA 0:12`.
  public static String line(StepFinished step) {
    return String.format(
        Locale.ROOT,
        "step %d/%d  loss %.4f  grad norm %.3g  lr %.3g  %,.0f tokens/s%s  ETA %s",
        step.step(),
        step.steps(),
        step.loss(),
        step.gradientNorm(),
        step.learningRate(),
        step.tokensPerSecond(),
        shareOfPeak(step),
        clock(step.remaining()));
  }

  /// ` 41 % of peak`; empty if the peak is not known.
  public static String shareOfPeak(StepFinished step) {
    OptionalDouble share = step.shareOfPeak();
    return share.isPresent()
        ? String.format(Locale.ROOT, "  %.0f %% of peak", 100 * share.getAsDouble())
        : "";
  }

  /// One evaluation in a line.
  public static String line(Evaluated evaluated) {
    EvaluationResult result = evaluated.result();
    return String.format(
            Locale.ROOT,
            "step %d  eval%s loss %.4f (row-weighted %.4f)  perplexity %.4g  accuracy %.2f %%  %,d targets",
            evaluated.step(),
            evaluated.dataset().isEmpty() ? "" : " " + evaluated.dataset(),
            result.loss(),
            result.rowWeightedLoss(),
            result.perplexity(),
            100 * result.meanTokenAccuracy(),
            result.targets())
        + bySource(result)
        + exactMatch(result);
  }

  private static String bySource(EvaluationResult result) {
    return result.sources().stream()
        .map(source -> String.format(Locale.ROOT, "%s %.4f", source.name(), source.loss()))
        .collect(
            Collectors.joining(", ", result.sources().isEmpty() ? "" : "  loss by file: ", ""));
  }

  private static String exactMatch(EvaluationResult result) {
    return result.answers().isEmpty()
        ? ""
        : String.format(
            Locale.ROOT,
            "  exact match %.1f %% (%,d of %,d)",
            100 * result.exactMatch().orElseThrow(),
            result.matches(),
            result.answers().size());
  }

  /// `m:ss` or `h:mm:ss`.
  public static String clock(Duration duration) {
    return duration.toHours() > 0
        ? "%d:%02d:%02d"
            .formatted(duration.toHours(), duration.toMinutesPart(), duration.toSecondsPart())
        : "%d:%02d".formatted(duration.toMinutes(), duration.toSecondsPart());
  }
}
