package dev.gatun.io;

import dev.gatun.InputException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.SequencedSet;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.TokenStreamLocation;
import tools.jackson.core.json.JsonReadFeature;
import tools.jackson.core.type.TypeReference;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// A JSON object of a file, read with types and ranges checked: every complaint is an
/// [InputException] that names the file and the key. A key whose value is `null` counts as absent.
public final class JsonObject {
  private static final long LIMIT_BYTES = 256L << 20;
  private static final JsonMapper MAPPER =
      JsonMapper.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          // Python writes them, and so do we where a loss has none: readers of numbers refuse them.
          .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
          .build();

  private final Path file;
  private final String source;
  private final String prefix;
  private final JsonNode node;

  /// @param source the file, and where in it
  /// @param prefix path of this object inside the outermost one
  private JsonObject(Path file, String source, String prefix, JsonNode node) {
    this.file = file;
    this.source = source;
    this.prefix = prefix;
    this.node = node;
  }

  /// Reads a file that holds one JSON object.
  public static JsonObject read(Path file) {
    return parse(file, "", TextFiles.read(file, LIMIT_BYTES));
  }

  /// Reads a file with one JSON object in each line; empty lines are passed over.
  public static List<JsonObject> readLines(Path file) {
    List<JsonObject> objects = new ArrayList<>();
    int number = 0;
    for (String line : TextFiles.read(file, LIMIT_BYTES).lines().toList()) {
      number++;
      if (!line.isBlank()) {
        objects.add(parse(file, "line " + number, line));
      }
    }
    return objects;
  }

  /// The text of this object with another value under one key.
  public String textWith(String key, int value) {
    ObjectNode changed = ((ObjectNode) node).deepCopy().put(key, value);
    return pretty(changed);
  }

  /// The text of this object without one key.
  public String textWithout(String key) {
    ObjectNode changed = ((ObjectNode) node).deepCopy();
    changed.remove(key);
    return pretty(changed);
  }

  private static String pretty(JsonNode node) {
    return MAPPER.writerWithDefaultPrettyPrinter().writeValueAsString(node) + "\n";
  }

  /// Parses text that was found in `file`.
  ///
  /// @param part where in the file, for messages; may be empty
  public static JsonObject parse(Path file, String part, String text) {
    String source = part.isEmpty() ? file.toString() : file + ": " + part;
    try {
      JsonNode node = MAPPER.readTree(text);
      if (node == null || !node.isObject()) {
        throw new InputException("%s is not a JSON object".formatted(source));
      }
      return new JsonObject(file, source, "", node);
    } catch (JacksonException e) {
      TokenStreamLocation at = e.getLocation();
      throw new InputException(
          "%s is not valid JSON%s: %s"
              .formatted(
                  source,
                  at == null ? "" : " at line " + at.getLineNr() + ", column " + at.getColumnNr(),
                  Quoted.reason(e)),
          e);
    }
  }

  public Path file() {
    return file;
  }

  /// All keys, in the order of the file.
  public SequencedSet<String> keys() {
    return new LinkedHashSet<>(node.propertyNames());
  }

  /// A copy as nested maps, lists, strings, booleans and numbers, in the order of the file.
  public Map<String, @Nullable Object> toMap() {
    return MAPPER.convertValue(node, new TypeReference<>() {});
  }

  /// Whether the key is there and not null.
  public boolean has(String key) {
    return node.hasNonNull(key);
  }

  /// Whether the key is there, be it null.
  public boolean mentions(String key) {
    return node.has(key);
  }

  /// A required integer from `min` to `max`.
  public int integer(String key, int min, int max) {
    return toInteger(key, required(key), min, max);
  }

  /// An integer from `min` to `max`, or null if absent.
  public @Nullable Integer optionalInteger(String key, int min, int max) {
    return has(key) ? toInteger(key, node.get(key), min, max) : null;
  }

  /// A required finite number.
  public double number(String key) {
    return toNumber(key, required(key));
  }

  /// A finite number, or null if absent.
  public @Nullable Double optionalNumber(String key) {
    return has(key) ? toNumber(key, node.get(key)) : null;
  }

  /// A number or null if absent; infinities count, and what is no number is NaN.
  public @Nullable Double optionalFloat(String key) {
    if (!has(key)) {
      return null;
    }
    if (!node.get(key).isNumber()) {
      throw wrongType(key, "a number");
    }
    return node.get(key).doubleValue();
  }

  /// A required string.
  public String string(String key) {
    return toText(key, required(key));
  }

  /// A string, or null if absent.
  public @Nullable String optionalString(String key) {
    return has(key) ? toText(key, node.get(key)) : null;
  }

  /// A boolean, or `absent` if absent.
  public boolean flag(String key, boolean absent) {
    if (!has(key)) {
      return absent;
    }
    if (!node.get(key).isBoolean()) {
      throw wrongType(key, "true or false");
    }
    return node.get(key).booleanValue();
  }

  /// A nested object, or null if absent.
  public @Nullable JsonObject object(String key) {
    if (!has(key)) {
      return null;
    }
    if (!node.get(key).isObject()) {
      throw wrongType(key, "an object");
    }
    return new JsonObject(file, source, prefix + key + ".", node.get(key));
  }

  /// A list of objects; empty if absent.
  public List<JsonObject> objects(String key) {
    List<JsonObject> values = new ArrayList<>();
    for (JsonNode item : array(key)) {
      if (!item.isObject()) {
        throw wrongType(key, "a list of objects");
      }
      values.add(new JsonObject(file, source, prefix + key + ".", item));
    }
    return values;
  }

  /// A list of strings; empty if absent.
  public List<String> strings(String key) {
    List<String> values = new ArrayList<>();
    array(key).forEach(item -> values.add(toText(key, item)));
    return values;
  }

  /// A list of integers, each from `min` to `max`; empty if absent.
  public List<Integer> integers(String key, int min, int max) {
    List<Integer> values = new ArrayList<>();
    array(key).forEach(item -> values.add(toInteger(key, item, min, max)));
    return values;
  }

  /// A nested object of strings; empty if absent.
  public Map<String, String> stringMap(String key) {
    Map<String, String> values = new LinkedHashMap<>();
    JsonObject object = object(key);
    if (object != null) {
      object.keys().forEach(name -> values.put(name, object.string(name)));
    }
    return values;
  }

  /// Whether the value is a list.
  public boolean isArray(String key) {
    return has(key) && node.get(key).isArray();
  }

  public boolean isString(String key) {
    return has(key) && node.get(key).isString();
  }

  public boolean isBoolean(String key) {
    return has(key) && node.get(key).isBoolean();
  }

  /// Whether the value is absent, null, false, `[]`, `{}` or `""`: nothing was asked for.
  public boolean isUnset(String key) {
    JsonNode value = node.get(key);
    return value == null
        || value.isNull()
        || (value.isBoolean() && !value.booleanValue())
        || (value.isContainer() && value.isEmpty())
        || (value.isString() && value.stringValue().isEmpty());
  }

  /// An exception that names the file and the key.
  public InputException bad(String key, String problem) {
    return new InputException(where(key) + " " + problem);
  }

  /// File and key, the beginning of a message.
  public String where(String key) {
    return "%s: key %s".formatted(source, Quoted.of(prefix + key));
  }

  private Iterable<JsonNode> array(String key) {
    if (!has(key)) {
      return List.of();
    }
    if (!node.get(key).isArray()) {
      throw wrongType(key, "a list");
    }
    return node.get(key);
  }

  private JsonNode required(String key) {
    if (!has(key)) {
      throw new InputException(where(key) + " is missing");
    }
    return node.get(key);
  }

  private int toInteger(String key, JsonNode value, int min, int max) {
    if (!value.isIntegralNumber()) {
      throw wrongType(key, "an integer");
    }
    if (!value.canConvertToInt() || value.intValue() < min || value.intValue() > max) {
      throw bad(key, "is %s, not from %d to %d".formatted(Quoted.of(value.toString()), min, max));
    }
    return value.intValue();
  }

  private double toNumber(String key, JsonNode value) {
    if (!value.isNumber() || !Double.isFinite(value.doubleValue())) {
      throw wrongType(key, "a finite number");
    }
    return value.doubleValue();
  }

  private String toText(String key, JsonNode value) {
    if (!value.isString()) {
      throw wrongType(key, "a string");
    }
    return value.stringValue();
  }

  private InputException wrongType(String key, String wanted) {
    return bad(key, "is %s, not %s".formatted(Quoted.of(node.get(key).toString()), wanted));
  }
}
