package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Value.Dict;
import dev.gatun.text.chat.jinja.Value.Int;
import dev.gatun.text.chat.jinja.Value.Items;
import dev.gatun.text.chat.jinja.Value.Once;
import dev.gatun.text.chat.jinja.Value.Str;
import dev.gatun.text.chat.jinja.Value.Undefined;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Filters that go through something.
final class SequenceFilters {
  private SequenceFilters() {}

  static Value join(Run run, Arguments given) {
    @Nullable Value[] a = given.bind("join", 1, "value", "d", "attribute");
    String separator = a[1] == null ? "" : Texts.str(run, a[1]);
    Output out = new Output(run.budget());
    String between = "";
    for (Value item : Types.items(run, Filters.required(a[0]))) {
      Value shown = a[2] == null ? item : SelectFilters.attribute(run, item, a[2], null);
      out.append(between).append(Texts.str(run, shown));
      between = separator;
    }
    return new Str(out.toString());
  }

  static Value length(Run run, Arguments given) {
    return new Int(Types.length(run, Filters.required(given.bind("length", 1, "obj")[0])));
  }

  static Value list(Run run, Arguments given) {
    return run.list(items(run, given, "list"));
  }

  private static List<Value> items(Run run, Arguments given, String name) {
    return Types.items(run, Filters.required(given.bind(name, 1, "value")[0]));
  }

  static Value first(Run run, Arguments given) {
    Value value = Filters.required(given.bind("first", 1, "seq")[0]);
    if (value instanceof Once once) {
      Value first = once.takeFirst();
      return first == null ? new Undefined("No first item, sequence was empty.") : first;
    }
    List<Value> items = Types.items(run, value);
    return items.isEmpty() ? new Undefined("No first item, sequence was empty.") : items.getFirst();
  }

  static Value last(Run run, Arguments given) {
    Value value = Filters.required(given.bind("last", 1, "seq")[0]);
    if (value instanceof Once) {
      throw new Fault("'generator' object is not reversible");
    }
    List<Value> items = Types.items(run, value);
    return items.isEmpty() ? new Undefined("No last item, sequence was empty.") : items.getLast();
  }

  static Value reverse(Run run, Arguments given) {
    Value value = Filters.required(given.bind("reverse", 1, "value")[0]);
    if (value instanceof Str text) {
      StringBuilder reversed = new StringBuilder();
      int[] characters = run.counted(text.text()).codePoints().toArray();
      for (int i = characters.length - 1; i >= 0; i--) {
        reversed.appendCodePoint(characters[i]);
      }
      return run.text(reversed.toString());
    }
    List<Value> items = new ArrayList<>(Types.items(run, value));
    run.budget().characters(4L * items.size());
    Collections.reverse(items);
    return new Once(items);
  }

  static Value items(Run run, Arguments given) {
    Value value = Filters.required(given.bind("items", 1, "value")[0]);
    if (value instanceof Undefined) {
      return new Once(List.of());
    }
    if (!(value instanceof Dict dict)) {
      throw new Fault("Can only get item pairs from a mapping.");
    }
    return new Once(CollectionMethods.view(run, dict, Items.Kind.DICT_ITEMS).items());
  }

  static Value batch(Run run, Arguments given) {
    @Nullable Value[] a = given.bind("batch", 2, "value", "linecount", "fill_with");
    List<Value> items = Types.items(run, Filters.required(a[0]));
    int size = Types.count(Filters.required(a[1]));
    List<Value> batches = new ArrayList<>();
    List<Value> batch = new ArrayList<>();
    for (Value item : items) {
      if (batch.size() == size) {
        batches.add(run.list(batch));
        batch = new ArrayList<>();
      }
      batch.add(item);
    }
    if (!batch.isEmpty()) {
      if (a[2] != null && !(a[2] instanceof Value.None) && batch.size() < size) {
        run.budget().characters(4L * size);
        batch.addAll(Collections.nCopies(size - batch.size(), a[2]));
      }
      batches.add(run.list(batch));
    }
    return new Once(batches);
  }

  static Value slice(Run run, Arguments given) {
    @Nullable Value[] a = given.bind("slice", 2, "value", "slices", "fill_with");
    List<Value> items = Types.items(run, Filters.required(a[0]));
    int slices = Types.count(Filters.required(a[1]));
    if (slices == 0) {
      throw new Fault("integer division or modulo by zero");
    }
    run.budget().characters(4L * (Math.max(0, slices) + items.size()));
    List<Value> parts = new ArrayList<>();
    int from = 0;
    for (int i = 0; i < slices; i++) {
      int length = items.size() / slices + (i < items.size() % slices ? 1 : 0);
      List<Value> part = new ArrayList<>(items.subList(from, from + length));
      boolean filled = a[2] != null && !(a[2] instanceof Value.None);
      if (filled && i >= items.size() % slices) {
        part.add(Filters.required(a[2]));
      }
      parts.add(Items.list(part));
      from += length;
    }
    return new Once(parts);
  }
}
