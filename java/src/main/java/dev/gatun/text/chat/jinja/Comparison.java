package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Value.Bool;
import dev.gatun.text.chat.jinja.Value.Dict;
import dev.gatun.text.chat.jinja.Value.Float;
import dev.gatun.text.chat.jinja.Value.Int;
import dev.gatun.text.chat.jinja.Value.Items;
import dev.gatun.text.chat.jinja.Value.Str;
import dev.gatun.text.chat.jinja.Value.Undefined;
import java.math.BigDecimal;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Python's equality, order and containment.
final class Comparison {
  private Comparison() {}

  static boolean equal(Run run, Value a, Value b) {
    run.budget().characters(1);
    if (Types.isNumber(a) && Types.isNumber(b)) {
      return compareNumbers(a, b) == 0;
    }
    if (a instanceof Str x && b instanceof Str y) {
      return run.counted(x.text()).equals(y.text());
    }
    if (a instanceof Items x && b instanceof Items y) {
      return x.kind() == y.kind() && equal(run, x.items(), y.items());
    }
    if (a instanceof Dict x && b instanceof Dict y) {
      return equal(run, x.entries(), y.entries());
    }
    if (a instanceof Undefined && b instanceof Undefined) {
      return true;
    }
    return (a instanceof Value.None && b instanceof Value.None) || a == b;
  }

  private static boolean equal(Run run, List<Value> a, List<Value> b) {
    if (a.size() != b.size()) {
      return false;
    }
    for (int i = 0; i < a.size(); i++) {
      if (!equal(run, a.get(i), b.get(i))) {
        return false;
      }
    }
    return true;
  }

  private static boolean equal(Run run, Map<Value, Value> a, Map<Value, Value> b) {
    if (a.size() != b.size()) {
      return false;
    }
    for (Map.Entry<Value, Value> entry : a.entrySet()) {
      Value other = b.get(entry.getKey());
      if (other == null || !equal(run, entry.getValue(), other)) {
        return false;
      }
    }
    return true;
  }

  /// Negative, 0 or positive; numbers, texts, and lists of them have an order.
  ///
  /// @param sign the operator, for the message
  /// @throws Fault if the values have no order
  static int order(Run run, String sign, Value a, Value b) {
    run.budget().characters(1);
    if (Types.isNumber(a) && Types.isNumber(b)) {
      return compareNumbers(a, b);
    }
    if (a instanceof Str x && b instanceof Str y) {
      return compare(run.counted(x.text()), y.text());
    }
    if (a instanceof Items x && b instanceof Items y && x.kind() == y.kind() && ordered(x.kind())) {
      for (int i = 0; i < Math.min(x.items().size(), y.items().size()); i++) {
        if (!equal(run, x.items().get(i), y.items().get(i))) {
          return order(run, sign, x.items().get(i), y.items().get(i));
        }
      }
      return Integer.compare(x.items().size(), y.items().size());
    }
    Types.requireDefined(a);
    Types.requireDefined(b);
    throw new Fault(
        "'%s' not supported between instances of '%s' and '%s'"
            .formatted(sign, Types.name(a), Types.name(b)));
  }

  private static boolean ordered(Items.Kind kind) {
    return kind == Items.Kind.LIST || kind == Items.Kind.TUPLE;
  }

  /// By code points, not by UTF-16 units.
  private static int compare(String a, String b) {
    int n = Math.min(a.length(), b.length());
    for (int i = 0; i < n; i++) {
      char x = a.charAt(i);
      char y = b.charAt(i);
      if (x != y) {
        boolean oneIsHalf = Character.isSurrogate(x) != Character.isSurrogate(y);
        return oneIsHalf ? (Character.isSurrogate(x) ? 1 : -1) : Character.compare(x, y);
      }
    }
    return Integer.compare(a.length(), b.length());
  }

  /// NaN is neither equal to nor less than anything; it counts as greater here.
  private static int compareNumbers(Value a, Value b) {
    Long x = Types.wholeOrNull(a);
    Long y = Types.wholeOrNull(b);
    if (x != null && y != null) {
      return Long.compare(x, y);
    }
    double p = Types.floating(a);
    double q = Types.floating(b);
    if (Double.isNaN(p) || Double.isNaN(q)) {
      return 1;
    }
    if (Double.isInfinite(p) || Double.isInfinite(q)) {
      return Double.compare(p, q);
    }
    return exact(a, x).compareTo(exact(b, y));
  }

  private static BigDecimal exact(Value value, @Nullable Long whole) {
    return whole != null ? BigDecimal.valueOf(whole) : new BigDecimal(Types.floating(value));
  }

  /// `item in container`.
  static boolean contains(Run run, Value container, Value item) {
    return switch (container) {
      case Str text -> {
        if (!(item instanceof Str part)) {
          Types.requireDefined(item);
          throw new Fault("'in <string>' requires string as left operand, not " + Types.name(item));
        }
        yield Texts.indexOf(run, text.text(), part.text(), 0) >= 0;
      }
      case Dict dict -> {
        if (item instanceof Str key) {
          run.counted(key.text());
        }
        yield dict.entries().containsKey(Value.key(item));
      }
      case Items items -> containsItem(run, items.items(), item);
      case Value.Once once -> containsItem(run, once.take(), item);
      case Undefined _ -> false;
      case Value.None _, Bool _, Int _, Float _, Value.Namespace _, Value.Callable _, Loop _ ->
          throw new Fault("argument of type '%s' is not iterable".formatted(Types.name(container)));
    };
  }

  private static boolean containsItem(Run run, List<Value> items, Value item) {
    for (Value candidate : items) {
      if (equal(run, candidate, item)) {
        return true;
      }
    }
    return false;
  }

  static boolean holds(Run run, Expression.Relation relation, Value a, Value b) {
    return switch (relation) {
      case EQUAL -> equal(run, a, b);
      case NOT_EQUAL -> !equal(run, a, b);
      case LESS -> !nan(a, b) && order(run, relation.sign, a, b) < 0;
      case LESS_OR_EQUAL -> !nan(a, b) && order(run, relation.sign, a, b) <= 0;
      case GREATER -> !nan(a, b) && order(run, relation.sign, a, b) > 0;
      case GREATER_OR_EQUAL -> !nan(a, b) && order(run, relation.sign, a, b) >= 0;
      case IN -> contains(run, b, a);
      case NOT_IN -> !contains(run, b, a);
    };
  }

  private static boolean nan(Value a, Value b) {
    return (a instanceof Float x && Double.isNaN(x.value()) && Types.isNumber(b))
        || (b instanceof Float y && Double.isNaN(y.value()) && Types.isNumber(a));
  }
}
