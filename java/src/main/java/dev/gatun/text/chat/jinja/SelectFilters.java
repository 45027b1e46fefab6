package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Value.Int;
import dev.gatun.text.chat.jinja.Value.Once;
import dev.gatun.text.chat.jinja.Value.Str;
import dev.gatun.text.chat.jinja.Value.Undefined;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// `map`, `select`, `reject` and their kin.
final class SelectFilters {
  private SelectFilters() {}

  static Value map(Run run, Arguments given) {
    List<Value> items = Types.items(run, given.positional().getFirst());
    Arguments rest = given.from(1);
    List<Value> mapped = new ArrayList<>();
    run.budget().characters(4L * items.size());
    if (rest.positional().isEmpty() && rest.named().containsKey("attribute")) {
      @Nullable Value[] a = rest.bind("map", 0, "attribute", "default");
      for (Value item : items) {
        mapped.add(attribute(run, item, Filters.required(a[0]), a[1]));
      }
    } else {
      if (rest.positional().isEmpty()) {
        throw new Fault("map requires a filter argument");
      }
      String filter = Types.text(rest.positional().getFirst());
      for (Value item : items) {
        mapped.add(Filters.apply(run, filter, rest.from(1).after(item)));
      }
    }
    return new Once(mapped);
  }

  /// @param byAttribute whether an attribute is tested, not the item
  /// @param wanted what the test must say
  static Value select(Run run, Arguments given, boolean byAttribute, boolean wanted) {
    List<Value> items = Types.items(run, given.positional().getFirst());
    Arguments rest = given.from(1);
    Value attribute = null;
    if (byAttribute) {
      if (rest.positional().isEmpty()) {
        throw new Fault("Missing parameter for attribute name");
      }
      attribute = rest.positional().getFirst();
      rest = rest.from(1);
    }
    String test = rest.positional().isEmpty() ? null : Types.text(rest.positional().getFirst());
    Arguments testGiven = rest.from(1);
    List<Value> chosen = new ArrayList<>();
    for (Value item : items) {
      run.budget().step();
      Value tested = attribute == null ? item : attribute(run, item, attribute, null);
      boolean holds =
          test == null ? Types.truth(tested) : Tests.holds(run, test, tested, testGiven);
      if (holds == wanted) {
        chosen.add(item);
      }
    }
    run.budget().characters(4L * chosen.size());
    return new Once(chosen);
  }

  /// The value at a path such as `function.name` or `0.text`.
  ///
  /// @param absent what stands for an undefined value, or null
  static Value attribute(Run run, Value item, Value path, @Nullable Value absent) {
    Value value = item;
    List<Value> parts = new ArrayList<>();
    if (path instanceof Str text) {
      for (String part : run.counted(text.text()).split("\\.", -1)) {
        parts.add(part.matches("\\d{1,9}") ? new Int(Long.parseLong(part)) : new Str(part));
      }
    } else {
      parts.add(path);
    }
    for (Value part : parts) {
      value = Access.item(run, value, part);
      if (absent != null && value instanceof Undefined) {
        value = absent;
      }
    }
    return value;
  }
}
