package dev.gatun.train;

import dev.gatun.io.AtomicFiles;
import dev.gatun.text.Tokenizer;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;

/// What lies beside trained weights so that they can be served: the tokenizer that was trained
/// with, and the chat template.
final class ServingFiles {
  private final Path tokenizer;
  private final Map<String, String> changed;

  private ServingFiles(Path tokenizer, Map<String, String> changed) {
    this.tokenizer = tokenizer;
    this.changed = changed;
  }

  /// @param tokenizer as it was opened for `config`
  static ServingFiles of(SftConfig config, Tokenizer tokenizer) {
    return new ServingFiles(config.model().tokenizer(), new TreeMap<>(tokenizer.changes().files()));
  }

  /// Writes all files into a directory, each atomically.
  void write(Path target) {
    for (Path file : RunDirectory.tokenizerFiles(tokenizer)) {
      if (!changed.containsKey(file.getFileName().toString())) {
        RunDirectory.copy(file, target.resolve(file.getFileName()));
      }
    }
    changed.forEach((name, text) -> AtomicFiles.writeText(target.resolve(name), text));
  }
}
