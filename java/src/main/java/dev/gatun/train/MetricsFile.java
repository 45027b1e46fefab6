package dev.gatun.train;

import dev.gatun.io.AtomicFiles;
import dev.gatun.train.TrainingEvent.Evaluated;
import dev.gatun.train.TrainingEvent.Finished;
import dev.gatun.train.TrainingEvent.Notice;
import dev.gatun.train.TrainingEvent.Saved;
import dev.gatun.train.TrainingEvent.Started;
import dev.gatun.train.TrainingEvent.StepFinished;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import tools.jackson.databind.json.JsonMapper;

/// `metrics.jsonl`: one JSON object a line for every update and every evaluation. The file is
/// replaced as a whole, so that a reader never sees half a line: when something is saved, after an
/// evaluation, at the end, and in between at most every few seconds.
final class MetricsFile implements TrainingListener {
  private static final long PAUSE_NANOS = 5_000_000_000L;

  private final Path file;
  private final StringBuilder lines = new StringBuilder();
  private long writtenAt = System.nanoTime();
  private int writtenLength;

  MetricsFile(Path file) {
    this.file = file;
  }

  /// Goes on after these lines.
  void restore(String text) {
    lines.setLength(0);
    lines.append(text);
    writtenLength = -1;
  }

  /// All lines so far.
  String text() {
    return lines.toString();
  }

  @Override
  public void on(TrainingEvent event) {
    switch (event) {
      case StepFinished step -> {
        append(step);
        if (System.nanoTime() - writtenAt > PAUSE_NANOS) {
          flush();
        }
      }
      case Evaluated evaluated -> {
        append(evaluated);
        flush();
      }
      case Saved _, Finished _ -> flush();
      case Started _, Notice _ -> {
        // Neither holds a figure.
      }
    }
  }

  /// Writes what is not on disk yet.
  void flush() {
    if (lines.length() > writtenLength) {
      AtomicFiles.writeText(file, lines.toString());
      writtenLength = lines.length();
    }
    writtenAt = System.nanoTime();
  }

  private void append(StepFinished step) {
    Map<String, Object> line = new LinkedHashMap<>();
    line.put("step", step.step());
    line.put("epoch", step.epoch());
    line.put("loss", step.loss());
    line.put("grad_norm", step.gradientNorm());
    line.put("learning_rate", step.learningRate());
    line.put("mean_token_accuracy", step.meanTokenAccuracy());
    line.put("entropy", step.entropy());
    line.put("targets", step.targets());
    line.put("tokens", step.tokens());
    line.put("num_tokens", step.tokensSeen());
    line.put("tokens_per_second", step.tokensPerSecond());
    line.put("model_flops_per_second", step.flopsPerSecond());
    append(line);
  }

  private void append(Evaluated evaluated) {
    EvaluationResult result = evaluated.result();
    Map<String, Object> line = new LinkedHashMap<>();
    line.put("step", evaluated.step());
    line.put("epoch", evaluated.epoch());
    line.put(evaluated.figure("loss"), result.rowWeightedLoss());
    line.put(evaluated.figure("token_loss"), result.loss());
    line.put(evaluated.figure("perplexity"), result.perplexity());
    line.put(evaluated.figure("mean_token_accuracy"), result.meanTokenAccuracy());
    line.put(evaluated.figure("entropy"), result.entropy());
    line.put(evaluated.figure("targets"), result.targets());
    for (EvaluationResult.SourceLoss source : result.sources()) {
      line.put(evaluated.figure("token_loss/" + source.name()), source.loss());
      line.put(evaluated.figure("targets/" + source.name()), source.targets());
    }
    result.exactMatch().ifPresent(share -> line.put(evaluated.figure("exact_match"), share));
    append(line);
  }

  private void append(Map<String, Object> line) {
    lines.append(JsonMapper.shared().writeValueAsString(line)).append('\n');
  }
}
