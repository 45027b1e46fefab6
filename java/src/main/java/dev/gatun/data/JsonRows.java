package dev.gatun.data;

import dev.gatun.InputException;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.TokenStreamLocation;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.core.json.JsonReadFeature;

/// JSON to row values, with bounds on what a hostile file can ask for. A repeated key is an error:
/// one of its values would be lost. `NaN` and `Infinity`, which Python writes, are accepted.
final class JsonRows {
  static final int DEEPEST_NESTING = 256;
  static final int LONGEST_STRING = 256 << 20;

  static final JsonFactory FACTORY =
      JsonFactory.builder()
          .streamReadConstraints(
              StreamReadConstraints.builder()
                  .maxNestingDepth(DEEPEST_NESTING)
                  .maxStringLength(LONGEST_STRING)
                  .build())
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
          .build();

  private JsonRows() {}

  /// The columns of a text that holds one JSON object.
  ///
  /// @throws JacksonException if it is not valid JSON
  /// @throws InputException if it is not an object
  static Map<String, @Nullable Object> object(String text, String where) {
    try (JsonParser parser = FACTORY.createParser(ObjectReadContext.empty(), text)) {
      JsonToken first = parser.nextToken();
      if (first != JsonToken.START_OBJECT) {
        throw notAnObject(where, first);
      }
      Map<String, @Nullable Object> columns = columns(parser);
      if (parser.nextToken() != null) {
        throw new InputException(
            "%s: text follows the JSON object; write one object per line.".formatted(where));
      }
      return columns;
    }
  }

  static InputException notAnObject(String where, @Nullable JsonToken found) {
    return new InputException(
        "%s: a row must be a JSON object of columns, not %s."
            .formatted(where, found == null ? "nothing" : found));
  }

  /// The object whose opening brace was just read.
  static Map<String, @Nullable Object> columns(JsonParser parser) {
    Map<String, @Nullable Object> columns = new LinkedHashMap<>();
    for (String name = parser.nextName(); name != null; name = parser.nextName()) {
      parser.nextToken();
      columns.put(name, value(parser));
    }
    return columns;
  }

  /// The value whose first token was just read. Recursion is bounded by the nesting limit.
  static @Nullable Object value(JsonParser parser) {
    JsonToken token = parser.currentToken();
    return switch (token) {
      case VALUE_STRING -> parser.getString();
      case VALUE_NUMBER_INT -> integer(parser);
      case VALUE_NUMBER_FLOAT -> parser.getDoubleValue();
      case VALUE_TRUE -> true;
      case VALUE_FALSE -> false;
      case VALUE_NULL -> null;
      case START_OBJECT -> Collections.unmodifiableMap(columns(parser));
      case START_ARRAY -> list(parser);
      case END_OBJECT, END_ARRAY, PROPERTY_NAME, NOT_AVAILABLE, VALUE_EMBEDDED_OBJECT ->
          throw new IllegalStateException("The JSON parser gave " + token + " as a value.");
    };
  }

  /// Whole numbers beyond 64 bits become doubles, as in most JSON readers.
  private static Object integer(JsonParser parser) {
    return switch (parser.getNumberValue()) {
      case BigInteger big -> (Object) big.doubleValue();
      case Number small -> (Object) small.longValue();
    };
  }

  private static List<@Nullable Object> list(JsonParser parser) {
    List<@Nullable Object> values = new ArrayList<>();
    while (parser.nextToken() != JsonToken.END_ARRAY) {
      values.add(value(parser));
    }
    return Collections.unmodifiableList(values);
  }

  /// The parser's own reason without its source excerpt, and the column if it is known.
  static String reason(JacksonException e) {
    String reason =
        e.getOriginalMessage().replaceAll("\\s+", " ").replaceFirst(" \\(start marker at .*", "");
    TokenStreamLocation location = e.getLocation();
    return location == null ? reason : reason + " (column " + location.getColumnNr() + ")";
  }
}
