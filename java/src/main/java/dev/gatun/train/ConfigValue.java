package dev.gatun.train;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// A value of a configuration file together with where it stands.
sealed interface ConfigValue {
  /// Characters of a text that a message shows.
  int LONGEST_SHOWN = 200;

  Location location();

  /// A place in a file, or an override on the command line.
  record Location(String source, int line, int column) {
    @Override
    public String toString() {
      return line == 0 ? source : source + ":" + line + ":" + column;
    }
  }

  /// A single value.
  ///
  /// @param value String, Boolean, Long, Double, or null
  record Scalar(Location location, @Nullable Object value) implements ConfigValue {}

  record Sequence(Location location, List<ConfigValue> items) implements ConfigValue {
    public Sequence {
      items = List.copyOf(items);
    }
  }

  /// Entries in the order of the file.
  record Mapping(Location location, Map<String, Entry> entries) implements ConfigValue {
    public Mapping {
      entries = new LinkedHashMap<>(entries);
    }
  }

  /// A key with its value.
  ///
  /// @param key where the key stands
  record Entry(Location key, ConfigValue value) {}

  /// The value as scalars, lists and maps.
  default @Nullable Object plain() {
    return switch (this) {
      case Scalar(Location _, Object value) -> value;
      case Sequence(Location _, List<ConfigValue> items) ->
          items.stream().map(ConfigValue::plain).toList();
      case Mapping(Location _, Map<String, Entry> entries) -> {
        Map<String, @Nullable Object> values = new LinkedHashMap<>();
        entries.forEach((name, entry) -> values.put(name, entry.value().plain()));
        yield values;
      }
    };
  }

  /// The value as people would name it in a message.
  default String describe() {
    return switch (this) {
      case Scalar(Location _, String text) when text.length() > LONGEST_SHOWN ->
          "the text '"
              + text.substring(0, LONGEST_SHOWN)
              + "…' of "
              + text.length()
              + " characters";
      case Scalar(Location _, String text) -> "the text '" + text + "'";
      case Scalar(Location _, Object value) when value == null -> "nothing";
      case Scalar(Location _, Object value) -> String.valueOf(value);
      case Sequence _ -> "a list";
      case Mapping _ -> "a section";
    };
  }
}
