package dev.gatun.text.chat;

import dev.gatun.InputException;
import dev.gatun.text.Tokenizer;
import dev.gatun.text.chat.jinja.Template;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Finds chat templates where transformers looks for them: `chat_template.jinja` and
/// `additional_chat_templates/` beside the tokenizer, else `chat_template` in
/// `tokenizer_config.json`, which is a text or a list of named ones.
public final class ChatTemplateFiles {
  private static final String FILE = "chat_template.jinja";

  /// Where templates lie that are chosen by name.
  public static final String FOLDER = "additional_chat_templates";

  private static final String ENDING = ".jinja";
  private static final String DEFAULT = "default";
  private static final String CONFIG = "tokenizer_config.json";
  private static final long LARGEST_BYTES = 16L << 20;

  private ChatTemplateFiles() {}

  /// The chat template of a tokenizer.
  ///
  /// @param chosen a template's file, or the folder of a tokenizer whose template is used instead
  ///   of the tokenizer's own; or null
  /// @throws InputException if there is none, or it is malformed
  public static ChatTemplate open(Tokenizer tokenizer, @Nullable Path chosen) {
    Path place = chosen == null ? tokenizer.directory() : chosen;
    if (!Files.exists(place)) {
      throw new InputException(
          "the chat template %s does not exist; name a template's file, or the folder of a tokenizer that has one, in chat_template_path."
              .formatted(place));
    }
    Map<String, Template> templates = new LinkedHashMap<>();
    sources(place)
        .forEach(
            (name, source) -> templates.put(name, Template.parse(source.place(), source.text())));
    if (templates.isEmpty()) {
      throw new InputException(
          "%s holds no chat template (%s, or chat_template in %s); name a template's file in chat_template_path."
              .formatted(place, FILE, CONFIG));
    }
    return new ChatTemplate(templates, tokenizer.specialTokens(), LocalDateTime::now);
  }

  /// The files that hold a template beside a tokenizer, as transformers writes them.
  ///
  /// @param place a template's file, or the folder of a tokenizer that has one
  /// @return texts by the path below the tokenizer's folder
  public static Map<Path, String> stored(Path place) {
    Map<Path, String> files = new LinkedHashMap<>();
    sources(place)
        .forEach((name, source) ->
            files.put(
                name.equals(DEFAULT) ? Path.of(FILE) : Path.of(FOLDER, name + ENDING),
                source.text()));
    return files;
  }

  /// The files that decide which template is used, for keys of caches.
  public static List<Path> files(Tokenizer tokenizer, @Nullable Path chosen) {
    Path place = chosen == null ? tokenizer.directory() : chosen;
    if (!Files.isDirectory(place)) {
      return List.of(place);
    }
    return Stream.concat(
            Stream.of(place.resolve(FILE), place.resolve(CONFIG)), additional(place).stream())
        .filter(Files::isRegularFile)
        .toList();
  }

  /// A template as it is written.
  ///
  /// @param place what messages call it
  private record Source(String place, String text) {}

  /// By name.
  private static Map<String, Source> sources(Path place) {
    if (Files.isRegularFile(place)) {
      return Map.of(DEFAULT, read(place));
    }
    Map<String, Source> sources = new LinkedHashMap<>();
    if (Files.isRegularFile(place.resolve(FILE))) {
      sources.put(DEFAULT, read(place.resolve(FILE)));
    }
    for (Path file : additional(place)) {
      String name = String.valueOf(file.getFileName());
      sources.put(name.substring(0, name.length() - ENDING.length()), read(file));
    }
    return sources.isEmpty() ? inConfig(place.resolve(CONFIG)) : sources;
  }

  private static List<Path> additional(Path folder) {
    Path additional = folder.resolve(FOLDER);
    if (!Files.isDirectory(additional)) {
      return List.of();
    }
    try (Stream<Path> files = Files.list(additional)) {
      return files.filter(file -> file.toString().endsWith(ENDING)).sorted().toList();
    } catch (IOException e) {
      throw unreadable(additional, e);
    }
  }

  private static Map<String, Source> inConfig(Path file) {
    if (!Files.isRegularFile(file)) {
      return Map.of();
    }
    JsonNode node;
    try {
      node = JsonMapper.shared().readTree(text(file)).path("chat_template");
    } catch (JacksonException e) {
      throw new InputException(
          "%s is not valid JSON: %s".formatted(file, e.getOriginalMessage()), e);
    }
    String key = file + " chat_template";
    Map<String, Source> sources = new LinkedHashMap<>();
    if (node.isString()) {
      sources.put(DEFAULT, new Source(key, node.stringValue()));
    } else if (node.isArray()) {
      for (JsonNode entry : node) {
        if (!entry.path("name").isString() || !entry.path("template").isString()) {
          throw new InputException(key + ": every entry needs a name and a template.");
        }
        String name = entry.path("name").stringValue();
        sources.put(
            name, new Source(key + " `" + name + "`", entry.path("template").stringValue()));
      }
    } else if (!node.isMissingNode() && !node.isNull()) {
      throw new InputException(key + " must be a text or a list of named templates.");
    }
    return sources;
  }

  private static Source read(Path file) {
    return new Source(file.toString(), text(file));
  }

  private static String text(Path file) {
    try {
      if (Files.size(file) > LARGEST_BYTES) {
        throw new InputException(file + " is larger than 16 MiB, which no chat template is.");
      }
      return Files.readString(file);
    } catch (CharacterCodingException e) {
      throw new InputException(file + " is not UTF-8.", e);
    } catch (IOException e) {
      throw unreadable(file, e);
    }
  }

  private static InputException unreadable(Path path, IOException e) {
    return new InputException(path + " cannot be read: " + e.getMessage(), e);
  }
}
