package dev.gatun.train;

import dev.gatun.InputException;
import dev.gatun.train.ConfigValue.Entry;
import dev.gatun.train.ConfigValue.Location;
import dev.gatun.train.ConfigValue.Mapping;
import dev.gatun.train.ConfigValue.Scalar;
import dev.gatun.train.ConfigValue.Sequence;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.TokenStreamLocation;
import tools.jackson.dataformat.yaml.YAMLFactory;
import tools.jackson.dataformat.yaml.YAMLParser;

/// Reads YAML (of which JSON is a subset) into a tree whose every node knows its line and column.
/// Duplicate keys, aliases (`*name`), several documents and anything but a section at the top are
/// refused.
final class ConfigParser {
  private static final long LARGEST_FILE_BYTES = 1 << 20;
  private static final int DEEPEST_NESTING = 16;

  private final String source;
  private final JsonParser parser;

  private ConfigParser(String source, JsonParser parser) {
    this.source = source;
    this.parser = parser;
  }

  /// The top section of a file.
  ///
  /// @throws InputException naming file, line and column
  static Mapping parse(Path file) {
    return parse(file.toString(), read(file));
  }

  static Mapping parse(String source, String text) {
    try (JsonParser parser = new YAMLFactory().createParser(ObjectReadContext.empty(), text)) {
      ConfigParser reader = new ConfigParser(source, parser);
      if (parser.nextToken() == null) {
        throw new InputException(source + " is empty; it needs at least model_name_or_path");
      }
      ConfigValue value = reader.value(0);
      if (!(value instanceof Mapping mapping)) {
        throw new InputException(
            value.location() + ": expected 'key: value' lines, found " + value.describe());
      }
      if (parser.nextToken() != null) {
        throw new InputException(
            reader.here() + ": a second document starts here; a configuration is one document");
      }
      return mapping;
    } catch (JacksonException e) {
      throw new InputException(at(source, e.getLocation()) + ": " + firstLines(e), e);
    }
  }

  /// One value on its own, as in `--set key=value`; its location is `source`.
  static ConfigValue parseValue(String source, String text) {
    // A key in front makes the grammar that of a file: `a: b` inside is an error there too.
    Mapping mapping = parse(source, "value: " + text);
    return relocate(mapping.entries().values().iterator().next().value(), source);
  }

  private static ConfigValue relocate(ConfigValue value, String source) {
    Location location = new Location(source, 0, 0);
    return switch (value) {
      case Scalar scalar -> new Scalar(location, scalar.value());
      case Sequence sequence ->
          new Sequence(
              location, sequence.items().stream().map(item -> relocate(item, source)).toList());
      case Mapping mapping -> {
        Map<String, Entry> entries = new LinkedHashMap<>();
        mapping
            .entries()
            .forEach((key, entry) ->
                entries.put(key, new Entry(location, relocate(entry.value(), source))));
        yield new Mapping(location, entries);
      }
    };
  }

  private ConfigValue value(int depth) {
    if (depth > DEEPEST_NESTING) {
      throw new InputException(here() + ": sections are nested too deeply");
    }
    if (parser instanceof YAMLParser yaml && yaml.isCurrentAlias()) {
      throw new InputException(here() + ": YAML aliases are not supported; repeat the value");
    }
    Location location = here();
    JsonToken token = parser.currentToken();
    if (token == JsonToken.START_OBJECT) {
      return mapping(location, depth);
    }
    if (token == JsonToken.START_ARRAY) {
      return sequence(location, depth);
    }
    return new Scalar(location, scalar(token));
  }

  private Mapping mapping(Location location, int depth) {
    Map<String, Entry> entries = new LinkedHashMap<>();
    while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
      Location keyLocation = here();
      String key = parser.getString();
      parser.nextToken();
      Entry previous = entries.put(key, new Entry(keyLocation, value(depth + 1)));
      if (previous != null) {
        throw new InputException(
            "%s: key '%s' is already set in line %d; remove one"
                .formatted(keyLocation, key, previous.key().line()));
      }
    }
    return new Mapping(location, entries);
  }

  private Sequence sequence(Location location, int depth) {
    List<ConfigValue> items = new ArrayList<>();
    while (parser.nextToken() != JsonToken.END_ARRAY) {
      items.add(value(depth + 1));
    }
    return new Sequence(location, items);
  }

  private @Nullable Object scalar(JsonToken token) {
    String text = parser.getString();
    return switch (token) {
      case VALUE_NULL -> null;
      case VALUE_TRUE -> true;
      case VALUE_FALSE -> false;
      case VALUE_NUMBER_FLOAT, VALUE_NUMBER_INT -> number(text);
      case NOT_AVAILABLE,
          START_OBJECT,
          END_OBJECT,
          START_ARRAY,
          END_ARRAY,
          PROPERTY_NAME,
          VALUE_EMBEDDED_OBJECT,
          VALUE_STRING ->
          text.equals("~") ? null : text;
    };
  }

  /// A Long or a Double; what fits neither (`.nan`, an integer beyond 64 bits) stays text, which no
  /// numeric key accepts.
  private static Object number(String text) {
    String digits = text.replace("_", "");
    try {
      return digits.matches("[-+]?[0-9]+")
          ? (Object) Long.valueOf(digits)
          : (Object) Double.valueOf(digits);
    } catch (NumberFormatException _) {
      return text;
    }
  }

  private Location here() {
    TokenStreamLocation location = parser.currentTokenLocation();
    return new Location(source, location.getLineNr(), location.getColumnNr());
  }

  private static Location at(String source, @Nullable TokenStreamLocation location) {
    return location == null
        ? new Location(source, 0, 0)
        : new Location(source, location.getLineNr(), location.getColumnNr());
  }

  /// The parser's complaint without its excerpt of the file.
  private static String firstLines(JacksonException e) {
    StringBuilder text = new StringBuilder();
    for (String line : String.valueOf(e.getOriginalMessage()).lines().toList()) {
      if (!line.startsWith(" ") && !line.isBlank()) {
        text.append(text.isEmpty() ? "" : ": ").append(line.strip());
      }
    }
    return text + "; this is not valid YAML";
  }

  private static String read(Path file) {
    try {
      if (Files.isDirectory(file)) {
        throw new InputException(file + " is a directory; name the configuration file in it");
      }
      if (Files.size(file) > LARGEST_FILE_BYTES) {
        throw new InputException(file + " is over 1 MiB; that is no configuration");
      }
      return StandardCharsets.UTF_8
          .newDecoder()
          .decode(ByteBuffer.wrap(Files.readAllBytes(file)))
          .toString();
    } catch (CharacterCodingException e) {
      throw new InputException(file + " is not UTF-8 text; save it as UTF-8", e);
    } catch (NoSuchFileException e) {
      throw new InputException("there is no configuration file " + file, e);
    } catch (IOException e) {
      throw new InputException("cannot read " + file + ": " + e.getMessage(), e);
    }
  }
}
