package dev.gatun.cli;

import dev.gatun.FailureException;
import dev.gatun.InputException;
import dev.gatun.io.AtomicFiles;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/// The bundled model and data, unpacked into a folder.
///
/// @param directory absolute path of the folder
record QuickstartFiles(Path directory) {
  private static final List<String> COPIED =
      List.of(
          "model/config.json",
          "model/generation_config.json",
          "model/model.safetensors",
          "model/tokenizer.json",
          "model/tokenizer_config.json",
          "model/chat_template.jinja",
          "train.jsonl",
          "eval.jsonl",
          "PROVENANCE.md");

  /// Unpacks everything into a new or empty folder.
  ///
  /// @throws InputException if the folder holds something already
  /// @throws FailureException if it cannot be written
  static QuickstartFiles unpack(Path output) {
    requireEmpty(output);
    QuickstartFiles files = new QuickstartFiles(output.toAbsolutePath().normalize());
    try {
      files.write();
    } catch (FailureException e) {
      files.remove();
      throw e;
    }
    return files;
  }

  private void write() {
    for (String name : COPIED) {
      ByteBuffer content = ByteBuffer.wrap(resource(name));
      AtomicFiles.write(
          directory.resolve(name),
          channel -> {
            while (content.hasRemaining()) {
              channel.write(content);
            }
          });
    }
    String config = new String(resource("config.yaml"), StandardCharsets.UTF_8);
    AtomicFiles.writeText(config(), config.replace("@DIR@", quoted(directory)));
  }

  /// Takes back what an interrupted [#write] left, so that the folder can be used again.
  private void remove() {
    COPIED.forEach(name -> directory.resolve(name).toFile().delete());
    model().toFile().delete();
    directory.toFile().delete();
  }

  Path model() {
    return directory.resolve("model");
  }

  Path evaluation() {
    return directory.resolve("eval.jsonl");
  }

  Path config() {
    return directory.resolve("config.yaml");
  }

  /// A path inside a YAML string in double quotes.
  private static String quoted(Path path) {
    return path.toString().replace("\\", "\\\\").replace("\"", "\\\"");
  }

  private static void requireEmpty(Path output) {
    if (Files.exists(output) && !Files.isDirectory(output)) {
      throw new InputException(output + " is a file; name a new folder with --output.");
    }
    if (!Files.isDirectory(output)) {
      return;
    }
    try (Stream<Path> entries = Files.list(output)) {
      if (entries.findAny().isPresent()) {
        throw new InputException(
            output + " exists and is not empty; remove it, or name a new folder with --output.");
      }
    } catch (IOException e) {
      throw new FailureException(output + " cannot be read: " + e.getMessage(), e);
    }
  }

  private static byte[] resource(String name) {
    try (InputStream stream =
        QuickstartFiles.class.getResourceAsStream("/dev/gatun/quickstart/" + name)) {
      if (stream == null) {
        throw new IllegalStateException("the jar lacks " + name);
      }
      return stream.readAllBytes();
    } catch (IOException e) {
      throw new FailureException("the jar cannot be read: " + e.getMessage(), e);
    }
  }
}
