package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Value.Dict;
import dev.gatun.text.chat.jinja.Value.Items;
import dev.gatun.text.chat.jinja.Value.Once;
import dev.gatun.text.chat.jinja.Value.Str;
import dev.gatun.text.chat.jinja.Value.Undefined;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// Filters that put things in order. Texts are compared without case unless asked.
final class SortFilters {
  private SortFilters() {}

  /// What an item is compared by.
  private record Key(Run run, @Nullable Value attribute, boolean caseSensitive) {
    Value of(Value item) {
      if (attribute instanceof Str(String paths) && paths.indexOf(',') >= 0) {
        List<Value> keys = new ArrayList<>();
        for (String path : paths.split(",", -1)) {
          keys.add(folded(SelectFilters.attribute(run, item, new Str(path), null)));
        }
        return Items.list(keys);
      }
      boolean whole = attribute == null || attribute instanceof Value.None;
      return folded(
          whole ? item : SelectFilters.attribute(run, item, Filters.required(attribute), null));
    }

    private Value folded(Value value) {
      return value instanceof Str s && !caseSensitive
          ? run.text(s.text().toLowerCase(Locale.ROOT))
          : value;
    }

    Comparator<Value> order(boolean reverse) {
      Comparator<Value> order = (a, b) -> Comparison.order(run, "<", of(a), of(b));
      return reverse ? (a, b) -> order.compare(b, a) : order;
    }
  }

  static Value sort(Run run, Arguments given) {
    @Nullable Value[] a = given.bind("sort", 1, "value", "reverse", "case_sensitive", "attribute");
    Key key = new Key(run, a[3], isTrue(a[2]));
    return sorted(run, Types.items(run, Filters.required(a[0])), key, isTrue(a[1]));
  }

  private static Items sorted(Run run, List<Value> items, Key key, boolean reverse) {
    List<Value> sorted = new ArrayList<>(items);
    requireNumbersComparable(run, items, key);
    sorted.sort(key.order(reverse));
    return run.list(sorted);
  }

  /// NaN has no place in an order.
  private static void requireNumbersComparable(Run run, List<Value> items, Key key) {
    for (Value item : items) {
      run.budget().step();
      if (key.of(item) instanceof Value.Float(double number) && Double.isNaN(number)) {
        throw new Fault("NaN cannot be sorted");
      }
    }
  }

  private static boolean isTrue(@Nullable Value value) {
    return value != null && Types.truth(value);
  }

  static Value dictSort(Run run, Arguments given) {
    @Nullable Value[] a = given.bind("dictsort", 1, "value", "case_sensitive", "by", "reverse");
    if (!(a[0] instanceof Dict dict)) {
      throw new Fault("dictsort needs a mapping");
    }
    String by = a[2] == null ? "key" : Types.text(a[2]);
    if (!by.equals("key") && !by.equals("value")) {
      throw new Fault("You can only sort by either \"key\" or \"value\"");
    }
    Key key = new Key(run, new Value.Int(by.equals("key") ? 0 : 1), isTrue(a[1]));
    List<Value> pairs = CollectionMethods.view(run, dict, Items.Kind.DICT_ITEMS).items();
    return sorted(run, pairs, key, isTrue(a[3]));
  }

  static Value unique(Run run, Arguments given) {
    @Nullable Value[] a = given.bind("unique", 1, "value", "case_sensitive", "attribute");
    Key key = new Key(run, a[2], isTrue(a[1]));
    Set<Value> seen = new HashSet<>();
    List<Value> first = new ArrayList<>();
    for (Value item : Types.items(run, Filters.required(a[0]))) {
      run.budget().characters(4);
      if (seen.add(Value.key(key.of(item)))) {
        first.add(item);
      }
    }
    return new Once(first);
  }

  static Value groupBy(Run run, Arguments given) {
    @Nullable Value[] a =
        given.bind("groupby", 2, "value", "attribute", "default", "case_sensitive");
    Key key = new Key(run, a[1], isTrue(a[3]));
    List<Value> sorted = sorted(run, Types.items(run, Filters.required(a[0])), key, false).items();
    List<Value> groups = new ArrayList<>();
    List<Value> group = new ArrayList<>();
    Value current = null;
    for (Value item : sorted) {
      Value of = key.of(item);
      if (current != null && !Comparison.equal(run, current, of)) {
        groups.add(group(run, a[1], group));
        group = new ArrayList<>();
      }
      current = of;
      group.add(item);
    }
    if (!group.isEmpty()) {
      groups.add(group(run, a[1], group));
    }
    return run.list(groups);
  }

  private static Value group(Run run, @Nullable Value attribute, List<Value> items) {
    Value name = SelectFilters.attribute(run, items.getFirst(), Filters.required(attribute), null);
    return Items.tuple(name, run.list(items));
  }

  static Value extreme(Run run, Arguments given, boolean largest) {
    String name = largest ? "max" : "min";
    @Nullable Value[] a = given.bind(name, 1, "value", "case_sensitive", "attribute");
    Key key = new Key(run, a[2], isTrue(a[1]));
    Value best = null;
    for (Value item : Types.items(run, Filters.required(a[0]))) {
      run.budget().step();
      boolean better =
          best == null
              || (largest
                  ? Comparison.order(run, ">", key.of(item), key.of(best)) > 0
                  : Comparison.order(run, "<", key.of(item), key.of(best)) < 0);
      best = better ? item : best;
    }
    return best == null ? new Undefined("No aggregated item, sequence was empty.") : best;
  }
}
