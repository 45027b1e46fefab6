package dev.gatun.train;

import dev.gatun.generate.Answer;
import dev.gatun.io.AtomicFiles;
import dev.gatun.train.TrainingEvent.Evaluated;
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

  /// Goes on after these lines.
  void restore(String text) {
    lines.setLength(0);
    lines.append(text);
    if (!text.isEmpty()) {
      write(file);
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
      evaluated.result().answers().forEach(answer -> append(evaluated.step(), answer));
      write(file);
    }
  }

  private void append(int step, Answer answer) {
    Map<String, Object> line = new LinkedHashMap<>();
    line.put("step", step);
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
