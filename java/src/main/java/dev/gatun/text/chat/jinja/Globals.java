package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Value.Callable;
import dev.gatun.text.chat.jinja.Value.Dict;
import dev.gatun.text.chat.jinja.Value.Int;
import dev.gatun.text.chat.jinja.Value.Items;
import dev.gatun.text.chat.jinja.Value.Namespace;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// The functions every template has.
final class Globals {
  /// Jinja2's sandbox has the same bound.
  private static final long LONGEST_RANGE = 100_000;

  private Globals() {}

  static Scope scope() {
    Scope scope = new Scope(null);
    scope.set("range", new Callable("range", Globals::range));
    scope.set("dict", new Callable("dict", (run, given) -> new Dict(entries(run, given))));
    scope.set("namespace", new Callable("namespace", (run, given) -> namespace(run, given)));
    scope.set("raise_exception", new Callable("raise_exception", Globals::raise));
    scope.set(
        "strftime_now",
        new Callable(
            "strftime_now",
            (run, given) ->
                run.text(
                    Strftime.format(
                        run.now(),
                        run.counted(
                            StringMethods.text(given.bind("strftime_now", 1, "format")[0]))))));
    return scope;
  }

  private static Value raise(Run run, Arguments given) {
    throw new Fault(
        Texts.str(run, Filters.required(given.bind("raise_exception", 1, "message")[0])));
  }

  private static Map<Value, Value> entries(Run run, Arguments given) {
    Map<Value, Value> entries = new LinkedHashMap<>();
    @Nullable Value[] a = new Arguments(given.positional(), Map.of()).bind("dict", 0, "mapping");
    if (a[0] instanceof Dict dict) {
      run.budget().characters(8L * dict.entries().size());
      entries.putAll(dict.entries());
    } else if (a[0] instanceof Items pairs) {
      for (Value pair : Types.items(run, pairs)) {
        if (!(pair instanceof Items two) || two.items().size() != 2) {
          throw new Fault("dictionary update sequence needs pairs");
        }
        entries.put(Value.key(two.items().get(0)), two.items().get(1));
      }
    } else if (a[0] != null) {
      throw new Fault("'%s' object is not iterable".formatted(Types.name(a[0])));
    }
    given.named().forEach((name, value) -> entries.put(new Value.Str(name), value));
    return entries;
  }

  private static Value namespace(Run run, Arguments given) {
    run.budget().characters(64);
    Map<String, Value> attributes = new LinkedHashMap<>();
    entries(run, given).forEach((key, value) -> attributes.put(Types.text(key), value));
    return new Namespace(attributes);
  }

  private static Value range(Run run, Arguments given) {
    int n = given.positional().size();
    if (n < 1 || n > 3 || !given.named().isEmpty()) {
      throw new Fault("range expected 1 to 3 arguments, got " + n);
    }
    long from = n == 1 ? 0 : Types.whole(given.positional().get(0));
    long to = Types.whole(given.positional().get(n == 1 ? 0 : 1));
    long step = n == 3 ? Types.whole(given.positional().get(2)) : 1;
    if (step == 0) {
      throw new Fault("range() arg 3 must not be zero");
    }
    List<Value> items = new ArrayList<>();
    for (long i = from; step > 0 ? i < to : i > to; i += step) {
      if (items.size() >= LONGEST_RANGE) {
        throw new Fault("Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).");
      }
      items.add(new Int(i));
      if (step > 0 ? i > Long.MAX_VALUE - step : i < Long.MIN_VALUE - step) {
        break;
      }
    }
    run.budget().characters(8L * items.size());
    return new Items(items, Items.Kind.RANGE);
  }
}
