package dev.gatun.train;

import dev.gatun.FailureException;
import dev.gatun.generate.Answer;
import dev.gatun.io.AtomicFiles;
import dev.gatun.train.TrainingEvent.Evaluated;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import tools.jackson.databind.json.JsonMapper;

/// `samples.jsonl`: one JSON object a line for every answer to a held-out question. The file
/// appears with the first answer, and is replaced as a whole after each evaluation, so that a
/// reader never sees half a line.
final class SamplesFile implements TrainingListener {
  private final Path file;
  private final StringBuilder lines = new StringBuilder();

  SamplesFile(Path file) {
    this.file = file;
  }

  /// Goes on after these lines. What the file says besides was written after them, or by another
  /// run.
  void restore(String text) {
    lines.setLength(0);
    lines.append(text);
    if (!text.isEmpty()) {
      write(file);
    } else {
      delete();
    }
  }

  private void delete() {
    try {
      Files.deleteIfExists(file);
    } catch (IOException e) {
      throw new FailureException("%s cannot be removed: %s".formatted(file, e.getMessage()), e);
    }
  }

  /// Writes all lines so far to another file, if there are any.
  void copyTo(Path other) {
    if (!lines.isEmpty()) {
      write(other);
    }
  }

  @Override
  public void on(TrainingEvent event) {
    if (event instanceof Evaluated evaluated && !evaluated.result().answers().isEmpty()) {
      evaluated.result().answers().forEach(answer -> append(evaluated, answer));
      write(file);
    }
  }

  private void append(Evaluated evaluated, Answer answer) {
    Map<String, Object> line = new LinkedHashMap<>();
    line.put("step", evaluated.step());
    if (!evaluated.dataset().isEmpty()) {
      line.put("dataset", evaluated.dataset());
    }
    line.put("prompt", answer.question().prompt());
    line.put("expected", answer.question().expected());
    line.put("generated", answer.generated());
    line.put("match", answer.match());
    lines.append(JsonMapper.shared().writeValueAsString(line)).append('\n');
  }

  private void write(Path target) {
    AtomicFiles.writeText(target, lines.toString());
  }
}
