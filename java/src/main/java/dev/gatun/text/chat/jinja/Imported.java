package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Value.Dict;
import dev.gatun.text.chat.jinja.Value.Float;
import dev.gatun.text.chat.jinja.Value.Int;
import dev.gatun.text.chat.jinja.Value.Items;
import dev.gatun.text.chat.jinja.Value.Str;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Turns Java's values into the template's and counts their size.
final class Imported {
  private long characters;

  /// Text and entries so far, in UTF-16 units.
  long characters() {
    return characters;
  }

  /// @throws IllegalArgumentException for a value of another type, a mistake of the caller
  Value value(@Nullable Object object) {
    characters += 8;
    return switch (object) {
      case null -> Value.NONE;
      case String text -> {
        characters += text.length();
        yield new Str(text);
      }
      case Boolean bool -> Value.of(bool);
      case Integer whole -> new Int(whole);
      case Long whole -> new Int(whole);
      case Double number -> new Float(number);
      case List<?> list -> {
        List<Value> items = new ArrayList<>(list.size());
        list.forEach(item -> items.add(value(item)));
        yield Items.list(items);
      }
      case Map<?, ?> map -> {
        Map<Value, Value> entries = new LinkedHashMap<>();
        map.forEach((key, item) -> entries.put(Value.key(value(key)), value(item)));
        yield new Dict(entries);
      }
      default ->
          throw new IllegalArgumentException("A template has no use for " + object.getClass());
    };
  }
}
