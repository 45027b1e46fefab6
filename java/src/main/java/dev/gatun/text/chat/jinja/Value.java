package dev.gatun.text.chat.jinja;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// What an expression yields, with the meaning of Python's types. Values do not change, as in
/// Jinja2's immutable sandbox; only a namespace does.
sealed interface Value
    permits Value.None,
        Value.Undefined,
        Value.Bool,
        Value.Int,
        Value.Float,
        Value.Str,
        Value.Items,
        Value.Once,
        Value.Dict,
        Value.Namespace,
        Value.Callable,
        Loop {
  /// Deepest nesting of lists and dictionaries.
  int DEEPEST = 400;

  /// Most entries of a tuple that is a key.
  int LONGEST_KEY = 64;

  Value NONE = new None();
  Value TRUE = new Bool(true);
  Value FALSE = new Bool(false);

  /// How many lists and dictionaries are inside each other.
  default int depth() {
    return 0;
  }

  /// Python's `None`.
  record None() implements Value {}

  /// What is not there.
  ///
  /// @param why what to say if it is used as if it were there
  record Undefined(String why) implements Value {}

  /// `True` or `False`.
  record Bool(boolean value) implements Value {}

  /// A whole number. Python's have no bound; one over 64 bits is refused here.
  record Int(long value) implements Value {}

  /// A floating-point number.
  record Float(double value) implements Value {}

  /// A text, whose length and positions are code points.
  record Str(String text) implements Value {
    static final Str EMPTY = new Str("");
  }

  /// A list, a tuple or something like it.
  record Items(List<Value> items, Kind kind, int depth) implements Value {
    /// What it is to Python.
    enum Kind {
      LIST,
      TUPLE,
      RANGE,
      DICT_KEYS,
      DICT_VALUES,
      DICT_ITEMS;

      boolean isView() {
        return this == DICT_KEYS || this == DICT_VALUES || this == DICT_ITEMS;
      }
    }

    Items(List<Value> items, Kind kind) {
      this(Collections.unmodifiableList(items), kind, depthOf(items));
    }

    static Items list(List<Value> items) {
      return new Items(items, Kind.LIST);
    }

    static Items tuple(Value... items) {
      return new Items(List.of(items), Kind.TUPLE);
    }
  }

  /// Something that can be gone through once, a Python generator.
  final class Once implements Value {
    private final List<Value> items;
    private final int depth;
    private boolean used;

    Once(List<Value> items) {
      this.items = items;
      this.depth = depthOf(items);
    }

    @Override
    public int depth() {
      return depth;
    }

    /// The items; nothing the second time.
    List<Value> take() {
      if (used) {
        return List.of();
      }
      used = true;
      return items;
    }

    /// Takes the first item only.
    @Nullable Value takeFirst() {
      if (used || items.isEmpty()) {
        return null;
      }
      used = true;
      return items.getFirst();
    }
  }

  /// A dictionary in the order of insertion. Keys are made by [Value#key].
  record Dict(Map<Value, Value> entries, int depth) implements Value {
    Dict(Map<Value, Value> entries) {
      this(Collections.unmodifiableMap(entries), depthOf(entries.values()));
    }

    @Nullable Value value(String key) {
      return entries.get(new Str(key));
    }
  }

  /// What `namespace()` makes: the one thing a template may change.
  record Namespace(Map<String, Value> attributes) implements Value {
    @Override
    public boolean equals(@Nullable Object other) {
      return this == other;
    }

    @Override
    public int hashCode() {
      return System.identityHashCode(this);
    }
  }

  /// A function or macro.
  ///
  /// @param attributes what a macro tells of itself
  record Callable(String name, Function body, Map<String, Value> attributes) implements Value {
    Callable(String name, Function body) {
      this(name, body, Map.of());
    }

    Value call(Run run, Arguments arguments) {
      return body.call(run, arguments);
    }
  }

  /// What a callable does.
  @FunctionalInterface
  interface Function {
    Value call(Run run, Arguments arguments);
  }

  private static int depthOf(Iterable<Value> items) {
    int deepest = 0;
    for (Value item : items) {
      deepest = Math.max(deepest, item.depth());
    }
    if (deepest >= DEEPEST) {
      throw new Fault("lists and dictionaries are nested more than %d deep".formatted(DEEPEST));
    }
    return deepest + 1;
  }

  static Value of(boolean value) {
    return value ? TRUE : FALSE;
  }

  /// A key of a dictionary: equal numbers are one key, whatever their type.
  ///
  /// @throws Fault if the value cannot be a key
  static Value key(Value value) {
    return switch (value) {
      case Bool b -> new Int(b.value ? 1 : 0);
      case Float f when f.value == Math.rint(f.value) && Math.abs(f.value) < 9e18 ->
          new Int((long) f.value);
      case Items items when items.kind == Items.Kind.LIST ->
          throw new Fault("unhashable type: 'list'");
      case Dict _ -> throw new Fault("unhashable type: 'dict'");
      case Items items -> {
        if (items.depth > 1 || items.items.size() > LONGEST_KEY) {
          throw new Fault("a key must be a single value or a short tuple of such");
        }
        yield new Items(items.items.stream().map(Value::key).toList(), items.kind);
      }
      case None _, Undefined _, Int _, Float _, Str _, Once _, Namespace _, Callable _, Loop _ ->
          value;
    };
  }

  /// A dictionary with text keys.
  static Dict dict(Map<String, Value> entries) {
    Map<Value, Value> map = new LinkedHashMap<>();
    entries.forEach((key, value) -> map.put(new Str(key), value));
    return new Dict(map);
  }
}
