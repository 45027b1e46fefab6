package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Value.Bool;
import dev.gatun.text.chat.jinja.Value.Callable;
import dev.gatun.text.chat.jinja.Value.Dict;
import dev.gatun.text.chat.jinja.Value.Float;
import dev.gatun.text.chat.jinja.Value.Int;
import dev.gatun.text.chat.jinja.Value.Items;
import dev.gatun.text.chat.jinja.Value.Namespace;
import dev.gatun.text.chat.jinja.Value.None;
import dev.gatun.text.chat.jinja.Value.Once;
import dev.gatun.text.chat.jinja.Value.Str;
import dev.gatun.text.chat.jinja.Value.Undefined;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/// The filter `tojson` as transformers defines it: Python's `json.dumps`, without escapes for HTML.
final class Json {
  private final Run run;
  private final Output out;
  private final boolean ascii;
  private final @Nullable String indent;
  private final String itemSeparator;
  private final String keySeparator;
  private final boolean sorted;

  private Json(
      Run run, boolean ascii, @Nullable String indent, String[] separators, boolean sorted) {
    this.run = run;
    this.out = new Output(run.budget());
    this.ascii = ascii;
    this.indent = indent;
    this.itemSeparator = separators[0];
    this.keySeparator = separators[1];
    this.sorted = sorted;
  }

  static Value filter(Run run, Arguments given) {
    @Nullable Value[] a =
        given.bind("tojson", 1, "x", "ensure_ascii", "indent", "separators", "sort_keys");
    String indent = indent(a[2]);
    String[] separators = {indent == null ? ", " : ",", ": "};
    if (a[3] != null && !(a[3] instanceof None)) {
      List<Value> two = Types.items(run, a[3]);
      if (two.size() != 2) {
        throw new Fault("separators must be two texts");
      }
      separators = new String[] {Types.text(two.get(0)), Types.text(two.get(1))};
    }
    Json json =
        new Json(
            run,
            a[1] != null && Types.truth(a[1]),
            indent,
            separators,
            a[4] != null && Types.truth(a[4]));
    Value value = a[0];
    json.write(value == null ? Value.NONE : value, 0);
    return new Str(json.out.toString());
  }

  private static @Nullable String indent(@Nullable Value value) {
    if (value == null || value instanceof None) {
      return null;
    }
    if (value instanceof Str text) {
      return text.text();
    }
    return " ".repeat(Math.clamp(Types.whole(value), 0, 256));
  }

  private void write(Value value, int level) {
    run.budget().step();
    switch (value) {
      case None _ -> out.append("null");
      case Bool b -> out.append(b.value() ? "true" : "false");
      case Int i -> out.append(Long.toString(i.value()));
      case Float f -> out.append(number(f.value()));
      case Str s -> out.append(quoted(s.text()));
      case Items items -> {
        if (items.kind() != Items.Kind.LIST && items.kind() != Items.Kind.TUPLE) {
          throw notSerializable(value);
        }
        write(items.items(), level);
      }
      case Dict dict -> write(dict.entries(), level);
      case Undefined _, Once _, Namespace _, Callable _, Loop _ -> throw notSerializable(value);
    }
  }

  private static Fault notSerializable(Value value) {
    return new Fault("Object of type %s is not JSON serializable".formatted(Types.name(value)));
  }

  private void write(List<Value> items, int level) {
    if (items.isEmpty()) {
      out.append("[]");
      return;
    }
    out.append("[");
    for (int i = 0; i < items.size(); i++) {
      out.append(i == 0 ? "" : itemSeparator);
      lineBreak(level + 1);
      write(items.get(i), level + 1);
    }
    lineBreak(level);
    out.append("]");
  }

  private void write(Map<Value, Value> entries, int level) {
    if (entries.isEmpty()) {
      out.append("{}");
      return;
    }
    Map<String, List<Value>> named = sorted ? new TreeMap<>() : new LinkedHashMap<>();
    entries.forEach(
        (key, value) -> named.computeIfAbsent(key(key), _ -> new ArrayList<>()).add(value));
    out.append("{");
    String separator = "";
    for (Map.Entry<String, List<Value>> entry : named.entrySet()) {
      for (Value value : entry.getValue()) {
        out.append(separator);
        lineBreak(level + 1);
        out.append(quoted(entry.getKey())).append(keySeparator);
        write(value, level + 1);
        separator = itemSeparator;
      }
    }
    lineBreak(level);
    out.append("}");
  }

  private void lineBreak(int level) {
    if (indent != null) {
      out.append("\n");
      for (int i = 0; i < level; i++) {
        out.append(indent);
      }
    }
  }

  private static String key(Value key) {
    return switch (key) {
      case Str s -> s.text();
      case None _ -> "null";
      case Bool b -> b.value() ? "true" : "false";
      case Int i -> Long.toString(i.value());
      case Float f -> number(f.value());
      case Undefined _, Items _, Once _, Dict _, Namespace _, Callable _, Loop _ ->
          throw new Fault(
              "keys must be str, int, float, bool or None, not %s".formatted(Types.name(key)));
    };
  }

  private static String number(double value) {
    if (Double.isNaN(value)) {
      return "NaN";
    }
    return Double.isInfinite(value) ? (value > 0 ? "Infinity" : "-Infinity") : Texts.number(value);
  }

  private String quoted(String text) {
    StringBuilder quoted = new StringBuilder(text.length() + 2).append('"');
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '"' -> quoted.append("\\\"");
        case '\\' -> quoted.append("\\\\");
        case '\n' -> quoted.append("\\n");
        case '\r' -> quoted.append("\\r");
        case '\t' -> quoted.append("\\t");
        case '\b' -> quoted.append("\\b");
        case '\f' -> quoted.append("\\f");
        default -> {
          if (c < 0x20 || (ascii && c > 0x7e)) {
            quoted.append("\\u%04x".formatted((int) c));
          } else {
            quoted.append(c);
          }
        }
      }
    }
    return quoted.append('"').toString();
  }
}
