package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Expression.Operator;
import dev.gatun.text.chat.jinja.Value.Float;
import dev.gatun.text.chat.jinja.Value.Int;
import dev.gatun.text.chat.jinja.Value.Str;
import dev.gatun.text.chat.jinja.Value.Undefined;
import java.math.BigDecimal;
import java.math.RoundingMode;
import org.jspecify.annotations.Nullable;

/// Filters of single values and of numbers.
final class ValueFilters {
  private ValueFilters() {}

  static Value attribute(Run run, Arguments given) {
    @Nullable Value[] a = given.bind("attr", 2, "obj", "name");
    Value value = Filters.required(a[0]);
    String name = Types.text(Filters.required(a[1]));
    return value instanceof Value.Dict
        ? new Undefined("'dict object' has no attribute '" + name + "'")
        : Access.attribute(run, value, name);
  }

  static Value orElse(Run run, Arguments given) {
    @Nullable Value[] a = given.bind("default", 1, "value", "default_value", "boolean");
    Value value = Filters.required(a[0]);
    boolean falseToo = a[2] != null && Types.truth(a[2]);
    boolean absent = value instanceof Undefined || (falseToo && !Types.truth(value));
    return !absent ? value : a[1] == null ? Str.EMPTY : a[1];
  }

  static Value whole(Run run, Arguments given) {
    @Nullable Value[] a = given.bind("int", 1, "value", "default", "base");
    Value value = Filters.required(a[0]);
    Value otherwise = a[1] == null ? new Int(0) : a[1];
    Long whole = Types.wholeOrNull(value);
    if (whole != null) {
      return new Int(whole);
    }
    if (value instanceof Float(double number)) {
      return truncated(number, otherwise);
    }
    if (value instanceof Str(String text)) {
      String digits = Whitespace.strip(run.counted(text)).replace("_", "");
      int radix = a[2] == null ? 10 : Math.clamp(Types.whole(a[2]), 2, 36);
      try {
        return new Int(Long.parseLong(prefixless(digits, radix), radix));
      } catch (NumberFormatException _) {
        return decimal(digits) instanceof Float(double number)
            ? truncated(number, otherwise)
            : otherwise;
      }
    }
    Types.requireDefined(value);
    return otherwise;
  }

  private static String prefixless(String digits, int radix) {
    String prefix = radix == 16 ? "0x" : radix == 8 ? "0o" : radix == 2 ? "0b" : "\0";
    return digits.startsWith(prefix) ? digits.substring(2) : digits;
  }

  private static Value truncated(double number, Value otherwise) {
    return Double.isNaN(number) || Math.abs(number) >= 0x1p63 ? otherwise : new Int((long) number);
  }

  private static Value decimal(String text) {
    if (!text.matches("[+-]?(\\d{1,400}\\.?\\d{0,400}|\\.\\d{1,400})([eE][+-]?\\d{1,9})?")) {
      return Value.NONE;
    }
    return new Float(Double.parseDouble(text));
  }

  static Value floating(Run run, Arguments given) {
    @Nullable Value[] a = given.bind("float", 1, "value", "default");
    Value value = Filters.required(a[0]);
    if (Types.isNumber(value)) {
      return new Float(Types.floating(value));
    }
    Types.requireDefined(value);
    Value parsed =
        value instanceof Str(String text)
            ? decimal(Whitespace.strip(run.counted(text)).replace("_", ""))
            : Value.NONE;
    return parsed instanceof Float ? parsed : a[1] == null ? new Float(0) : a[1];
  }

  static Value absolute(Run run, Arguments given) {
    Value value = Filters.required(given.bind("abs", 1, "x")[0]);
    Long whole = Types.wholeOrNull(value);
    return whole == null
        ? new Float(Math.abs(Types.floating(value)))
        : whole < 0 ? Arithmetic.apply(run, Operator.SUBTRACT, new Int(0), value) : new Int(whole);
  }

  static Value round(Run run, Arguments given) {
    @Nullable Value[] a = given.bind("round", 1, "value", "precision", "method");
    Value value = Filters.required(a[0]);
    int precision = a[1] == null ? 0 : Math.clamp(Types.whole(a[1]), -400, 400);
    String method = a[2] == null ? "common" : Types.text(a[2]);
    double number = Types.floating(value);
    if (Double.isNaN(number) || Double.isInfinite(number)) {
      return value;
    }
    RoundingMode mode =
        switch (method) {
          case "common" -> RoundingMode.HALF_EVEN;
          case "ceil" -> RoundingMode.CEILING;
          case "floor" -> RoundingMode.FLOOR;
          default -> throw new Fault("method must be common, ceil or floor");
        };
    Long whole = Types.wholeOrNull(value);
    if (method.equals("common")) {
      BigDecimal rounded = new BigDecimal(number).setScale(precision, mode);
      // Python rounds an int to an int.
      return whole != null ? new Int(rounded.longValue()) : new Float(rounded.doubleValue());
    }
    double scale = Math.pow(10, precision);
    double scaled = number * scale;
    return new Float((method.equals("ceil") ? Math.ceil(scaled) : Math.floor(scaled)) / scale);
  }

  static Value sum(Run run, Arguments given) {
    @Nullable Value[] a = given.bind("sum", 1, "iterable", "attribute", "start");
    Value sum = a[2] == null ? new Int(0) : a[2];
    for (Value item : Types.items(run, Filters.required(a[0]))) {
      Value part =
          a[1] == null || a[1] instanceof Value.None
              ? item
              : SelectFilters.attribute(run, item, a[1], null);
      sum = Arithmetic.apply(run, Operator.ADD, sum, part);
    }
    return sum;
  }
}
