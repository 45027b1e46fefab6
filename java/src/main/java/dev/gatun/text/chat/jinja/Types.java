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
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/// What Python says of a value: its type's name, whether it is true, its length, its items.
final class Types {
  private Types() {}

  static String name(Value value) {
    return switch (value) {
      case None _ -> "NoneType";
      case Undefined _ -> "Undefined";
      case Bool _ -> "bool";
      case Int _ -> "int";
      case Float _ -> "float";
      case Str _ -> "str";
      case Items items -> items.kind().name().toLowerCase(Locale.ROOT);
      case Once _ -> "generator";
      case Dict _ -> "dict";
      case Namespace _ -> "Namespace";
      case Callable _ -> "function";
      case Loop _ -> "LoopContext";
    };
  }

  /// As Jinja2 names the owner of a missing attribute.
  static String owner(Value value) {
    return value instanceof None ? "None" : name(value) + " object";
  }

  /// @throws Fault if the value is undefined, with the reason
  static Value requireDefined(Value value) {
    if (value instanceof Undefined(String why)) {
      throw new Fault(why);
    }
    return value;
  }

  static boolean truth(Value value) {
    return switch (value) {
      case None _, Undefined _ -> false;
      case Bool b -> b.value();
      case Int i -> i.value() != 0;
      case Float f -> f.value() != 0;
      case Str s -> !s.text().isEmpty();
      case Items items -> !items.items().isEmpty();
      case Dict dict -> !dict.entries().isEmpty();
      case Once _, Namespace _, Callable _, Loop _ -> true;
    };
  }

  static boolean isNumber(Value value) {
    return value instanceof Int || value instanceof Bool || value instanceof Float;
  }

  /// The value of a whole number or a boolean.
  static @Nullable Long wholeOrNull(Value value) {
    return switch (value) {
      case Int i -> Long.valueOf(i.value());
      case Bool b -> Long.valueOf(b.value() ? 1 : 0);
      default -> null;
    };
  }

  static double floating(Value value) {
    Long whole = wholeOrNull(value);
    if (whole != null) {
      return whole;
    }
    if (value instanceof Float f) {
      return f.value();
    }
    requireDefined(value);
    throw new Fault("must be a number, not " + name(value));
  }

  /// @throws Fault if the value is no whole number
  static long whole(Value value) {
    Long whole = wholeOrNull(value);
    if (whole == null) {
      requireDefined(value);
      throw new Fault("'%s' object cannot be interpreted as an integer".formatted(name(value)));
    }
    return whole;
  }

  /// A whole number that counts something, cut to the range of `int`.
  static int count(Value value) {
    return Math.clamp(whole(value), Integer.MIN_VALUE, Integer.MAX_VALUE);
  }

  /// @throws Fault if the value has no length
  static long length(Run run, Value value) {
    return switch (value) {
      case Str s -> run.counted(s.text()).codePointCount(0, s.text().length());
      case Items items -> items.items().size();
      case Dict dict -> dict.entries().size();
      case Undefined _ -> 0;
      case None _, Bool _, Int _, Float _, Once _, Namespace _, Callable _ ->
          throw new Fault("object of type '%s' has no len()".formatted(name(value)));
      case Loop loop -> whole(requireAttribute(loop, "length"));
    };
  }

  private static Value requireAttribute(Loop loop, String name) {
    Value value = loop.attribute(name);
    return value == null ? new Undefined(name) : value;
  }

  static boolean isIterable(Value value) {
    return switch (value) {
      case Str _, Items _, Dict _, Undefined _, Once _, Loop _ -> true;
      case None _, Bool _, Int _, Float _, Namespace _, Callable _ -> false;
    };
  }

  /// What going through a value yields: of a text its characters, of a dictionary its keys.
  ///
  /// @throws Fault if it cannot be gone through
  static List<Value> items(Run run, Value value) {
    List<Value> items =
        switch (value) {
          case Items list -> list.items();
          case Once once -> once.take();
          case Dict dict -> List.copyOf(dict.entries().keySet());
          case Str s -> characters(run, s.text());
          case Undefined _ -> List.of();
          case None _, Bool _, Int _, Float _, Namespace _, Callable _, Loop _ ->
              throw new Fault("'%s' object is not iterable".formatted(name(value)));
        };
    run.budget().characters(items.size());
    return items;
  }

  private static List<Value> characters(Run run, String text) {
    run.budget().characters(8L * text.length());
    List<Value> characters = new ArrayList<>(text.length());
    text.codePoints().forEach(c -> characters.add(new Str(Character.toString(c))));
    return characters;
  }

  /// The text of an argument.
  ///
  /// @throws Fault if it is no text
  static String text(Value value) {
    if (value instanceof Str s) {
      return s.text();
    }
    requireDefined(value);
    throw new Fault("must be str, not " + name(value));
  }
}
