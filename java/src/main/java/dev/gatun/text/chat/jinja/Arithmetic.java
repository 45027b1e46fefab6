package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Expression.Operator;
import dev.gatun.text.chat.jinja.Value.Float;
import dev.gatun.text.chat.jinja.Value.Int;
import dev.gatun.text.chat.jinja.Value.Items;
import dev.gatun.text.chat.jinja.Value.Str;
import java.util.ArrayList;
import java.util.List;

/// Python's operators on numbers, texts and lists.
final class Arithmetic {
  /// Longest text or list that `*` makes.
  private static final long LONGEST = 1L << 24;

  private Arithmetic() {}

  /// @throws Fault if the operator knows no such operands
  static Value apply(Run run, Operator operator, Value a, Value b) {
    Types.requireDefined(a);
    if (operator == Operator.REMAINDER && a instanceof Str format) {
      return run.text(PercentFormat.format(run, format.text(), b));
    }
    Types.requireDefined(b);
    if (Types.isNumber(a) && Types.isNumber(b)) {
      return numbers(operator, a, b);
    }
    if (operator == Operator.ADD) {
      return joined(run, a, b);
    }
    if (operator == Operator.MULTIPLY && Types.wholeOrNull(b) != null) {
      return repeated(run, a, b);
    }
    if (operator == Operator.MULTIPLY && Types.wholeOrNull(a) != null) {
      return repeated(run, b, a);
    }
    throw unsupported(operator, a, b);
  }

  private static Fault unsupported(Operator operator, Value a, Value b) {
    return new Fault(
        "unsupported operand type(s) for %s: '%s' and '%s'"
            .formatted(operator.sign, Types.name(a), Types.name(b)));
  }

  private static Value joined(Run run, Value a, Value b) {
    if (a instanceof Str x && b instanceof Str y) {
      run.budget().characters((long) x.text().length() + y.text().length());
      return new Str(x.text() + y.text());
    }
    if (a instanceof Str) {
      throw new Fault("can only concatenate str (not \"%s\") to str".formatted(Types.name(b)));
    }
    if (a instanceof Items x
        && b instanceof Items y
        && x.kind() == y.kind()
        && (x.kind() == Items.Kind.LIST || x.kind() == Items.Kind.TUPLE)) {
      run.budget().characters(4L * (x.items().size() + y.items().size()));
      List<Value> all = new ArrayList<>(x.items());
      all.addAll(y.items());
      return new Items(all, x.kind());
    }
    throw unsupported(Operator.ADD, a, b);
  }

  private static Value repeated(Run run, Value value, Value count) {
    long times = Math.max(0, Types.whole(count));
    if (value instanceof Str s) {
      int n = times(run, s.text().length(), times);
      return new Str(s.text().repeat(n));
    }
    if (value instanceof Items items
        && (items.kind() == Items.Kind.LIST || items.kind() == Items.Kind.TUPLE)) {
      int n = times(run, 4L * items.items().size(), times);
      List<Value> all = new ArrayList<>();
      for (int i = 0; i < n; i++) {
        all.addAll(items.items());
      }
      return new Items(all, items.kind());
    }
    throw unsupported(Operator.MULTIPLY, value, count);
  }

  /// The count, after its product with a size is found to fit.
  private static int times(Run run, long size, long times) {
    if (size == 0) {
      return 0;
    }
    if (times > LONGEST / size) {
      throw new Fault("a repetition is longer than %d characters".formatted(LONGEST));
    }
    run.budget().characters(size * times);
    return Math.toIntExact(times);
  }

  private static Value numbers(Operator operator, Value a, Value b) {
    Long x = Types.wholeOrNull(a);
    Long y = Types.wholeOrNull(b);
    if (x != null && y != null && !(operator == Operator.DIVIDE)) {
      boolean fraction = operator == Operator.POWER && y < 0;
      if (!fraction) {
        return whole(operator, x, y);
      }
    }
    return new Float(floating(operator, Types.floating(a), Types.floating(b)));
  }

  private static Value whole(Operator operator, long x, long y) {
    try {
      return new Int(
          switch (operator) {
            case ADD -> Math.addExact(x, y);
            case SUBTRACT -> Math.subtractExact(x, y);
            case MULTIPLY -> Math.multiplyExact(x, y);
            case FLOOR_DIVIDE -> Math.floorDivExact(x, nonZero(y));
            case REMAINDER -> Math.floorMod(x, nonZero(y));
            case POWER -> power(x, y);
            case DIVIDE -> throw new IllegalStateException("Whole numbers divide to a fraction.");
          });
    } catch (ArithmeticException _) {
      throw new Fault("a whole number does not fit into 64 bits");
    }
  }

  private static long nonZero(long divisor) {
    if (divisor == 0) {
      throw new Fault("integer division or modulo by zero");
    }
    return divisor;
  }

  private static long power(long base, long exponent) {
    if (base == 0 || base == 1 || base == -1) {
      return exponent == 0 ? 1 : base == -1 && exponent % 2 == 0 ? 1 : base;
    }
    long result = 1;
    for (long i = 0; i < exponent; i++) {
      result = Math.multiplyExact(result, base);
    }
    return result;
  }

  private static double floating(Operator operator, double x, double y) {
    boolean divides =
        operator == Operator.DIVIDE
            || operator == Operator.FLOOR_DIVIDE
            || operator == Operator.REMAINDER;
    if (divides && y == 0) {
      throw new Fault("float division by zero");
    }
    return switch (operator) {
      case ADD -> x + y;
      case SUBTRACT -> x - y;
      case MULTIPLY -> x * y;
      case DIVIDE -> x / y;
      case FLOOR_DIVIDE -> Math.floor(x / y);
      case REMAINDER -> {
        double rest = x % y;
        yield rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
      }
      case POWER -> Math.pow(x, y);
    };
  }
}
