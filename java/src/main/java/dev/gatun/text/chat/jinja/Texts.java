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
import java.math.BigDecimal;
import java.util.List;
import java.util.Map;

/// Values as text: Python's `str` and `repr`.
final class Texts {
  private Texts() {}

  /// What printing a value writes.
  static String str(Run run, Value value) {
    if (value instanceof Str s) {
      return s.text();
    }
    Output out = new Output(run.budget());
    write(out, value, false);
    return out.toString();
  }

  static String repr(Run run, Value value) {
    Output out = new Output(run.budget());
    write(out, value, true);
    return out.toString();
  }

  private static void write(Output out, Value value, boolean quoted) {
    switch (value) {
      case None _ -> out.append("None");
      case Undefined _ -> out.append(quoted ? "Undefined" : "");
      case Bool b -> out.append(b.value() ? "True" : "False");
      case Int i -> out.append(Long.toString(i.value()));
      case Float f -> out.append(number(f.value()));
      case Str s -> out.append(quoted ? PythonString.quoted(s.text()) : s.text());
      case Items items -> write(out, items);
      case Dict dict -> write(out, dict.entries());
      case Once _ -> out.append("<generator object>");
      // Its attributes may hold the namespace itself.
      case Namespace _ -> out.append("<Namespace>");
      case Callable callable -> out.append("<function " + callable.name() + ">");
      case Loop loop -> out.append(loop.shown());
    }
  }

  private static void write(Output out, Items value) {
    List<Value> items = value.items();
    switch (value.kind()) {
      case LIST -> write(out, "[", items, "]");
      case TUPLE -> write(out, "(", items, items.size() == 1 ? ",)" : ")");
      case RANGE -> write(out, "range(", items, ")");
      case DICT_KEYS -> write(out, "dict_keys([", items, "])");
      case DICT_VALUES -> write(out, "dict_values([", items, "])");
      case DICT_ITEMS -> write(out, "dict_items([", items, "])");
    }
  }

  private static void write(Output out, String open, List<Value> items, String close) {
    out.append(open);
    String separator = "";
    for (Value item : items) {
      out.append(separator);
      write(out, item, true);
      separator = ", ";
    }
    out.append(close);
  }

  private static void write(Output out, Map<Value, Value> entries) {
    out.append("{");
    String separator = "";
    for (Map.Entry<Value, Value> entry : entries.entrySet()) {
      out.append(separator);
      write(out, entry.getKey(), true);
      out.append(": ");
      write(out, entry.getValue(), true);
      separator = ", ";
    }
    out.append("}");
  }

  /// `repr` of a float: the shortest digits that give the number back, an exponent below 1e-4 and
  /// from 1e16.
  static String number(double value) {
    if (Double.isNaN(value)) {
      return "nan";
    }
    if (Double.isInfinite(value)) {
      return value > 0 ? "inf" : "-inf";
    }
    if (value == 0) {
      return 1 / value < 0 ? "-0.0" : "0.0";
    }
    BigDecimal exact = new BigDecimal(Double.toString(Math.abs(value))).stripTrailingZeros();
    String digits = exact.unscaledValue().toString();
    int exponent = digits.length() - exact.scale() - 1;
    String sign = value < 0 ? "-" : "";
    if (exponent >= -4 && exponent < 16) {
      String plain = exact.toPlainString();
      return sign + (plain.indexOf('.') < 0 ? plain + ".0" : plain);
    }
    String fraction = digits.length() > 1 ? "." + digits.substring(1) : "";
    return "%s%c%se%s%02d"
        .formatted(sign, digits.charAt(0), fraction, exponent < 0 ? "-" : "+", Math.abs(exponent));
  }

  /// First UTF-16 unit of `part` in `text` from a unit on, or -1; counts the work of the search.
  static int indexOf(Run run, String text, String part, int from) {
    long left = Math.max(0, text.length() - from);
    run.budget().characters(left + left * Math.min(part.length(), left) / 64);
    return text.indexOf(part, from);
  }

  /// As [#indexOf], from the end.
  static int lastIndexOf(Run run, String text, String part, int from) {
    run.budget().characters(text.length() + (long) text.length() * part.length() / 64);
    return text.lastIndexOf(part, from);
  }
}
