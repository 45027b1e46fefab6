package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Value.Dict;
import dev.gatun.text.chat.jinja.Value.Items;
import dev.gatun.text.chat.jinja.Value.Str;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Python's `text % values`.
final class PercentFormat {
  private static final Pattern FIELD =
      Pattern.compile("%(?:\\(([^)]*)\\))?([-+ 0#]*)(\\d{0,7})(?:\\.(\\d{1,4}))?([a-zA-Z%])");

  private PercentFormat() {}

  static String format(Run run, String format, Value values) {
    Output out = new Output(run.budget());
    Matcher m = FIELD.matcher(format);
    List<Value> row =
        values instanceof Items items && items.kind() == Items.Kind.TUPLE
            ? items.items()
            : List.of(values);
    int used = 0;
    int from = 0;
    for (int at = format.indexOf('%'); at >= 0; at = format.indexOf('%', from)) {
      if (!m.region(at, format.length()).lookingAt()) {
        throw new Fault("unsupported format in '%s'".formatted(format));
      }
      out.append(format.substring(from, at));
      from = m.end();
      if (m.group(5).equals("%")) {
        out.append("%");
      } else if (m.group(1) != null) {
        out.append(field(run, m, named(values, m.group(1))));
      } else if (used < row.size()) {
        out.append(field(run, m, row.get(used++)));
      } else {
        throw new Fault("not enough arguments for format string");
      }
    }
    if (used < row.size() && !isMapping(values)) {
      throw new Fault("not all arguments converted during string formatting");
    }
    return out.append(format.substring(from)).toString();
  }

  /// What Python takes for a mapping here: everything with subscripts but tuples and texts.
  private static boolean isMapping(Value values) {
    return values instanceof Dict
        || values instanceof Value.Undefined
        || (values instanceof Items items
            && items.kind() != Items.Kind.TUPLE
            && !items.kind().isView());
  }

  private static Value named(Value values, String name) {
    if (!(values instanceof Dict dict)) {
      throw new Fault("format requires a mapping");
    }
    Value value = dict.value(name);
    if (value == null) {
      throw new Fault("the format's key '%s' is missing".formatted(name));
    }
    return value;
  }

  private static String field(Run run, Matcher m, Value value) {
    String flags = m.group(2);
    String precision = m.group(4) == null ? "" : "." + m.group(4);
    String align = flags.contains("-") ? "<" : ">";
    return switch (m.group(5)) {
      case "s" ->
          FormatSpec.apply(
                  run, new Str(Texts.str(run, value)), align + m.group(3) + precision + "s")
              .text();
      case "r", "a" ->
          FormatSpec.apply(
                  run, new Str(Texts.repr(run, value)), align + m.group(3) + precision + "s")
              .text();
      case "d", "i", "u" -> number(run, m, new Value.Int((long) finite(value)), "d");
      case "x", "X", "o" -> number(run, m, new Value.Int(Types.whole(value)), m.group(5));
      case "e", "E", "f", "F", "g", "G" ->
          number(run, m, new Value.Float(Types.floating(value)), m.group(5));
      case "c" ->
          value instanceof Str
              ? Types.text(value)
              : FormatSpec.apply(run, value, align + m.group(3) + "c").text();
      default -> throw new Fault("unsupported format character '%s'".formatted(m.group(5)));
    };
  }

  private static double finite(Value value) {
    double number = Types.floating(value);
    if (Double.isNaN(number) || Double.isInfinite(number)) {
      throw new Fault("cannot convert float %s to integer".formatted(Texts.number(number)));
    }
    return number;
  }

  private static String number(Run run, Matcher m, Value value, String type) {
    String flags = m.group(2);
    boolean left = flags.contains("-");
    String sign = flags.contains("+") ? "+" : flags.contains(" ") ? " " : "";
    String zero = flags.contains("0") && !left ? "0" : "";
    String precision = m.group(4) == null || type.equals("d") ? "" : "." + m.group(4);
    String alternate = flags.contains("#") ? "#" : "";
    String align = left ? "<" : zero.isEmpty() ? ">" : "";
    return FormatSpec.apply(
            run, value, align + sign + alternate + zero + m.group(3) + precision + type)
        .text();
  }
}
