package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Value.Dict;
import dev.gatun.text.chat.jinja.Value.Function;
import dev.gatun.text.chat.jinja.Value.Int;
import dev.gatun.text.chat.jinja.Value.Items;
import dev.gatun.text.chat.jinja.Value.Items.Kind;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The methods of lists, tuples and dictionaries that change nothing. Each takes the value itself
/// first.
final class CollectionMethods {
  private CollectionMethods() {}

  static @Nullable Function ofItems(Kind kind, String name) {
    if (kind.isView()) {
      return null;
    }
    return switch (name) {
      case "count" -> (run, given) -> count(run, given);
      case "index" -> (run, given) -> index(run, given);
      case "copy" -> kind == Kind.LIST ? (_, given) -> self(given, "copy") : null;
      default -> null;
    };
  }

  static @Nullable Function ofDict(String name) {
    return switch (name) {
      case "get" ->
          (run, given) -> {
            @Nullable Value[] a = given.bind("get", 2, "self", "key", "default");
            if (a[1] instanceof Value.Str key) {
              run.counted(key.text());
            }
            Value found = dict(a[0]).entries().get(Value.key(required(a[1])));
            return found != null ? found : a[2] != null ? a[2] : Value.NONE;
          };
      case "keys" -> (run, given) -> view(run, given, Kind.DICT_KEYS);
      case "values" -> (run, given) -> view(run, given, Kind.DICT_VALUES);
      case "items" -> (run, given) -> view(run, given, Kind.DICT_ITEMS);
      case "copy" -> (_, given) -> self(given, "copy");
      default -> null;
    };
  }

  private static Value required(@Nullable Value value) {
    if (value == null) {
      throw new IllegalStateException("A required argument is bound.");
    }
    return value;
  }

  private static Dict dict(@Nullable Value value) {
    return (Dict) required(value);
  }

  private static Value self(Arguments given, String name) {
    return required(given.bind(name, 1, "self")[0]);
  }

  private static Value count(Run run, Arguments given) {
    @Nullable Value[] a = given.bind("count", 2, "self", "value");
    long count = 0;
    for (Value item : Types.items(run, required(a[0]))) {
      count += Comparison.equal(run, item, required(a[1])) ? 1 : 0;
    }
    return new Int(count);
  }

  private static Value index(Run run, Arguments given) {
    @Nullable Value[] a = given.bind("index", 2, "self", "value");
    List<Value> items = Types.items(run, required(a[0]));
    for (int i = 0; i < items.size(); i++) {
      if (Comparison.equal(run, items.get(i), required(a[1]))) {
        return new Int(i);
      }
    }
    throw new Fault(Texts.repr(run, required(a[1])) + " is not in list");
  }

  private static Value view(Run run, Arguments given, Kind kind) {
    return view(run, dict(given.bind("items", 1, "self")[0]), kind);
  }

  /// The keys, the values or both of a dictionary.
  static Items view(Run run, Dict dict, Kind kind) {
    run.budget().characters(8L * dict.entries().size());
    List<Value> items = new ArrayList<>();
    dict.entries()
        .forEach((key, value) ->
            items.add(
                kind == Kind.DICT_KEYS
                    ? key
                    : kind == Kind.DICT_VALUES ? value : Items.tuple(key, value)));
    return new Items(items, kind);
  }
}
