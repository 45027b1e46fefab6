package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Expression.Relation;
import dev.gatun.text.chat.jinja.Value.Bool;
import dev.gatun.text.chat.jinja.Value.Callable;
import dev.gatun.text.chat.jinja.Value.Dict;
import dev.gatun.text.chat.jinja.Value.Float;
import dev.gatun.text.chat.jinja.Value.Int;
import dev.gatun.text.chat.jinja.Value.Items;
import dev.gatun.text.chat.jinja.Value.None;
import dev.gatun.text.chat.jinja.Value.Str;
import dev.gatun.text.chat.jinja.Value.Undefined;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Jinja2's tests, what follows `is`.
final class Tests {
  private static final Map<String, Relation> RELATIONS =
      Map.ofEntries(
          Map.entry("==", Relation.EQUAL),
          Map.entry("eq", Relation.EQUAL),
          Map.entry("equalto", Relation.EQUAL),
          Map.entry("!=", Relation.NOT_EQUAL),
          Map.entry("ne", Relation.NOT_EQUAL),
          Map.entry("<", Relation.LESS),
          Map.entry("lt", Relation.LESS),
          Map.entry("lessthan", Relation.LESS),
          Map.entry("<=", Relation.LESS_OR_EQUAL),
          Map.entry("le", Relation.LESS_OR_EQUAL),
          Map.entry(">", Relation.GREATER),
          Map.entry("gt", Relation.GREATER),
          Map.entry("greaterthan", Relation.GREATER),
          Map.entry(">=", Relation.GREATER_OR_EQUAL),
          Map.entry("ge", Relation.GREATER_OR_EQUAL),
          Map.entry("in", Relation.IN));

  private Tests() {}

  /// @throws Fault for an unknown test
  static boolean holds(Run run, String name, Value value, Arguments given) {
    Relation relation = RELATIONS.get(name);
    if (relation != null) {
      return Comparison.holds(run, relation, value, argument(given, name));
    }
    boolean takesArgument = name.equals("divisibleby") || name.equals("sameas") || !isKnown(name);
    if (!takesArgument) {
      given.bind("test " + name, 0);
    }
    return switch (name) {
      case "defined" -> !(value instanceof Undefined);
      case "undefined" -> value instanceof Undefined;
      case "none" -> value instanceof None;
      case "string" -> value instanceof Str;
      case "mapping" -> value instanceof Dict;
      case "number" -> Types.isNumber(value);
      case "integer" -> value instanceof Int;
      case "float" -> value instanceof Float;
      case "boolean" -> value instanceof Bool;
      case "true" -> value instanceof Bool(boolean b) && b;
      case "false" -> value instanceof Bool(boolean b) && !b;
      case "iterable" -> Types.isIterable(value);
      case "sequence" -> isSequence(value);
      case "callable" -> value instanceof Callable || value instanceof Loop;
      case "odd" -> Math.floorMod(Types.whole(value), 2) == 1;
      case "even" -> Math.floorMod(Types.whole(value), 2) == 0;
      case "divisibleby" -> Math.floorMod(Types.whole(value), divisor(given)) == 0;
      case "lower" -> Casing.isLower(Texts.str(run, value));
      case "upper" -> Casing.isUpper(Texts.str(run, value));
      case "sameas" -> same(run, value, argument(given, name));
      case "escaped" -> false;
      case "filter" -> value instanceof Str(String filter) && Filters.isKnown(filter);
      case "test" -> value instanceof Str(String test) && isKnown(test);
      default -> throw new Fault("No test named '" + name + "'");
    };
  }

  private static boolean isKnown(String name) {
    return RELATIONS.containsKey(name)
        || switch (name) {
          case "defined",
              "undefined",
              "none",
              "string",
              "mapping",
              "number",
              "integer",
              "float",
              "boolean",
              "true",
              "false",
              "iterable",
              "sequence",
              "callable",
              "odd",
              "even",
              "divisibleby",
              "lower",
              "upper",
              "sameas",
              "escaped",
              "filter",
              "test" ->
              true;
          default -> false;
        };
  }

  private static long divisor(Arguments given) {
    long divisor = Types.whole(argument(given, "divisibleby"));
    if (divisor == 0) {
      throw new Fault("integer modulo by zero");
    }
    return divisor;
  }

  /// Python's `is`: the same object; equal small values are.
  private static boolean same(Run run, Value a, Value b) {
    if (a instanceof Str text) {
      run.counted(text.text());
    }
    return a == b
        || (a.getClass() == b.getClass()
            && (a instanceof None || a instanceof Bool || a instanceof Int || a instanceof Str)
            && a.equals(b));
  }

  private static boolean isSequence(Value value) {
    return switch (value) {
      case Str _, Dict _, Undefined _ -> true;
      case Items items -> !items.kind().isView();
      case None _, Bool _, Int _, Float _, Value.Once _, Value.Namespace _, Callable _, Loop _ ->
          false;
    };
  }

  private static Value argument(Arguments given, String name) {
    @Nullable Value argument = given.bind("test " + name, 1, "other")[0];
    return argument == null ? Value.NONE : argument;
  }
}
