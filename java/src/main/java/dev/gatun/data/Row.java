package dev.gatun.data;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// One row of a data file. Values are `String`, `Long`, `Double`, `Boolean`, `List` and `Map` of
/// such values, and null.
///
/// @param file the file, as the caller named it
/// @param unit what `number` counts: `line` or `row`
/// @param number where the row stands, from 1
/// @param columns column to value, in the file's order; immutable
public record Row(String file, String unit, long number, Map<String, @Nullable Object> columns) {

  public Row {
    columns = Collections.unmodifiableMap(new LinkedHashMap<>(columns));
  }

  /// For messages: `train.jsonl line 7`.
  public String where() {
    return file + " " + unit + " " + number;
  }

  /// Whether the row has the column, be its value null or not.
  public boolean has(String column) {
    return columns.containsKey(column);
  }

  /// The value of a column, null if it is null or absent.
  public @Nullable Object value(String column) {
    return columns.get(column);
  }

  /// The kind of a value, for messages.
  static String kind(@Nullable Object value) {
    return switch (value) {
      case null -> "null";
      case String _ -> "a string";
      case Boolean _ -> "a boolean";
      case Number _ -> "a number";
      case List<?> _ -> "a list";
      case Map<?, ?> _ -> "an object";
      default -> value.getClass().getSimpleName();
    };
  }
}
