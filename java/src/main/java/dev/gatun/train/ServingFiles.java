package dev.gatun.train;

import dev.gatun.io.AtomicFiles;
import dev.gatun.io.JsonObject;
import dev.gatun.text.Tokenizer;
import dev.gatun.text.chat.ChatTemplateFiles;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/// What lies beside trained weights so that they can be served: the tokenizer that was trained
/// with, and the chat template that was used, where transformers looks for them.
final class ServingFiles {
  private static final String TOKENIZER_CONFIG = "tokenizer_config.json";
  private static final String TEMPLATE = "chat_template";

  private final Path tokenizer;

  /// Texts by path below the output directory; everything else is copied from the tokenizer.
  private final Map<Path, String> changed = new TreeMap<>();

  private ServingFiles(Path tokenizer) {
    this.tokenizer = tokenizer;
  }

  /// @param tokenizer as it was opened for `config`
  static ServingFiles of(SftConfig config, Tokenizer tokenizer) {
    Path source = config.model().tokenizer();
    ServingFiles files = new ServingFiles(source);
    tokenizer.changes().files().forEach((name, text) -> files.changed.put(Path.of(name), text));
    Path template = config.data().chat().templatePath();
    if (template != null) {
      files.changed.putAll(ChatTemplateFiles.stored(template));
      files.leaveOutTemplate(tokenizer.directory().resolve(TOKENIZER_CONFIG));
    } else if (Files.isDirectory(source.resolve(ChatTemplateFiles.FOLDER))) {
      files.changed.putAll(ChatTemplateFiles.stored(source));
    }
    return files;
  }

  /// The tokenizer's own template would say something else than the one that was trained with.
  private void leaveOutTemplate(Path config) {
    Path name = Path.of(TOKENIZER_CONFIG);
    @Nullable String text = changed.get(name);
    if (text == null && !Files.isRegularFile(config)) {
      return;
    }
    JsonObject stored = text == null ? JsonObject.read(config) : JsonObject.parse(config, "", text);
    if (stored.has(TEMPLATE)) {
      changed.put(name, stored.textWithout(TEMPLATE));
    }
  }

  /// Writes all files into a directory, each atomically.
  void write(Path target) {
    for (Path file : RunDirectory.tokenizerFiles(tokenizer)) {
      if (!changed.containsKey(file.getFileName())) {
        RunDirectory.copy(file, target.resolve(file.getFileName()));
      }
    }
    changed.forEach((name, text) -> AtomicFiles.writeText(target.resolve(name), text));
  }
}
