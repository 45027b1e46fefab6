package dev.gatun.io;

import java.math.BigDecimal;
import java.util.Collection;
import java.util.Iterator;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// JSON text exactly as Python's `json.dumps(value, indent=2)` lays it out, so that files of ours
/// differ from the peers' in content only. Key order is the map's own.
public final class PythonJson {
  private final StringBuilder out = new StringBuilder();

  private PythonJson() {}

  /// The text of a value, without a final line break.
  ///
  /// @param value nested maps with string keys, collections, strings, booleans, integers, doubles
  ///   and nulls
  /// @throws IllegalArgumentException for any other type
  public static String format(@Nullable Object value) {
    PythonJson json = new PythonJson();
    json.append(value, 0);
    return json.out.toString();
  }

  private void append(@Nullable Object value, int depth) {
    switch (value) {
      case null -> out.append("null");
      case String text -> appendString(text);
      case Boolean flag -> out.append(flag);
      case Integer number -> out.append(number);
      case Long number -> out.append(number);
      case Double number -> out.append(repr(number));
      case Float number -> out.append(repr(number));
      case Map<?, ?> map -> appendMap(map, depth);
      case Collection<?> items -> appendItems(items, depth);
      default -> throw new IllegalArgumentException("no JSON for " + value.getClass());
    }
  }

  private void appendMap(Map<?, ?> map, int depth) {
    if (map.isEmpty()) {
      out.append("{}");
      return;
    }
    String separator = "{";
    for (Map.Entry<?, ?> entry : map.entrySet()) {
      out.append(separator);
      newLine(depth + 1);
      appendString((String) entry.getKey());
      out.append(": ");
      append(entry.getValue(), depth + 1);
      separator = ",";
    }
    newLine(depth);
    out.append('}');
  }

  private void appendItems(Collection<?> items, int depth) {
    if (items.isEmpty()) {
      out.append("[]");
      return;
    }
    out.append('[');
    for (Iterator<?> i = items.iterator(); i.hasNext(); ) {
      newLine(depth + 1);
      append(i.next(), depth + 1);
      out.append(i.hasNext() ? "," : "");
    }
    newLine(depth);
    out.append(']');
  }

  private void newLine(int depth) {
    out.append('\n').repeat(" ", 2 * depth);
  }

  private void appendString(String text) {
    out.append('"');
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '"' -> out.append("\\\"");
        case '\\' -> out.append("\\\\");
        case '\n' -> out.append("\\n");
        case '\r' -> out.append("\\r");
        case '\t' -> out.append("\\t");
        case '\b' -> out.append("\\b");
        case '\f' -> out.append("\\f");
        default -> {
          if (c < 0x20 || c > 0x7E) {
            out.append("\\u%04x".formatted((int) c));
          } else {
            out.append(c);
          }
        }
      }
    }
    out.append('"');
  }

  /// Python's `repr` of a float: the shortest digits that read back, in plain notation for
  /// exponents from -4 to 15.
  static String repr(double value) {
    if (Double.isNaN(value)) {
      return "NaN";
    }
    if (Double.isInfinite(value)) {
      return value > 0 ? "Infinity" : "-Infinity";
    }
    double magnitude = Math.abs(value);
    if (magnitude == 0 || (magnitude >= 1e-4 && magnitude < 1e16)) {
      String plain = new BigDecimal(Double.toString(value)).stripTrailingZeros().toPlainString();
      plain = magnitude == 0 ? Double.toString(value) : plain;
      return plain.contains(".") ? plain : plain + ".0";
    }
    String scientific = Double.toString(value);
    int e = scientific.indexOf('E');
    String digits = scientific.substring(0, e).replaceFirst("\\.0$", "");
    int exponent = Integer.parseInt(scientific.substring(e + 1));
    return "%se%s%02d".formatted(digits, exponent < 0 ? "-" : "+", Math.abs(exponent));
  }
}
