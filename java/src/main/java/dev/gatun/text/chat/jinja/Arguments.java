package dev.gatun.text.chat.jinja;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// What a function, a filter or a test is given.
record Arguments(List<Value> positional, Map<String, Value> named) {
  static final Arguments NONE = new Arguments(List.of(), Map.of());

  /// The same with one more in front.
  Arguments after(Value first) {
    List<Value> all = new ArrayList<>();
    all.add(first);
    all.addAll(positional);
    return new Arguments(all, named);
  }

  /// The same with one more by name.
  Arguments with(String name, Value value) {
    Map<String, Value> all = new LinkedHashMap<>(named);
    all.put(name, value);
    return new Arguments(positional, all);
  }

  /// The same without the first `count`.
  Arguments from(int count) {
    return new Arguments(
        positional.subList(Math.min(count, positional.size()), positional.size()), named);
  }

  /// The arguments in the order of the parameters `names`; null for what is not given.
  ///
  /// @param required how many must be given
  /// @throws Fault if there are too many, too few, or one of another name
  @Nullable Value[] bind(String function, int required, String... names) {
    if (positional.size() > names.length) {
      throw new Fault(
          "%s takes at most %d arguments, not %d"
              .formatted(function, names.length, positional.size()));
    }
    Map<String, Value> left = new LinkedHashMap<>(named);
    @Nullable Value[] bound = new @Nullable Value[names.length];
    for (int i = 0; i < names.length; i++) {
      Value given = left.remove(names[i]);
      if (i < positional.size()) {
        if (given != null) {
          throw new Fault(function + " got multiple values for argument '" + names[i] + "'");
        }
        given = positional.get(i);
      }
      bound[i] = given;
      if (given == null && i < required) {
        throw new Fault(function + " misses its argument '" + names[i] + "'");
      }
    }
    if (!left.isEmpty()) {
      throw new Fault(
          function + " got an unexpected argument '" + left.keySet().iterator().next() + "'");
    }
    return bound;
  }
}
