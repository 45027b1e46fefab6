package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Value.Callable;
import dev.gatun.text.chat.jinja.Value.Dict;
import dev.gatun.text.chat.jinja.Value.Items;
import dev.gatun.text.chat.jinja.Value.Namespace;
import dev.gatun.text.chat.jinja.Value.None;
import dev.gatun.text.chat.jinja.Value.Str;
import dev.gatun.text.chat.jinja.Value.Undefined;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// `a.b`, `a[b]` and `a[b:c]`, as Jinja2's sandbox sees them: an attribute is looked for before an
/// item after a dot, and after it in brackets; what would change a value is not there.
final class Access {
  private static final Set<String> MUTATORS =
      Set.of(
          "append",
          "clear",
          "extend",
          "insert",
          "pop",
          "popitem",
          "remove",
          "reverse",
          "setdefault",
          "sort",
          "update");

  private Access() {}

  /// `target.name`.
  static Value attribute(Run run, Value target, String name) {
    Types.requireDefined(target);
    Value found = member(target, name);
    if (found == null && target instanceof Dict dict) {
      found = dict.value(name);
    }
    return found != null ? found : missing(target, "attribute '" + name + "'");
  }

  /// `target[index]`.
  static Value item(Run run, Value target, Value index) {
    Types.requireDefined(target);
    if (index instanceof Str key) {
      run.counted(key.text());
    }
    Value found = itemOrNull(run, target, index);
    if (found == null && index instanceof Str name) {
      found = member(target, name.text());
    }
    if (found != null) {
      return found;
    }
    return missing(
        target,
        index instanceof Str name
            ? "attribute '" + name.text() + "'"
            : "element " + Texts.repr(run, index));
  }

  private static Undefined missing(Value target, String what) {
    String owner = target instanceof None ? "'None'" : "'" + Types.owner(target) + "'";
    return new Undefined(owner + " has no " + what);
  }

  private static @Nullable Value itemOrNull(Run run, Value target, Value index) {
    return switch (target) {
      case Dict dict -> dict.entries().get(Value.key(index));
      case Items items when !items.kind().isView() -> {
        Long at = Types.wholeOrNull(index);
        int n = items.items().size();
        yield at == null || at < -n || at >= n
            ? null
            : items.items().get((int) (at < 0 ? at + n : at));
      }
      case Str text -> {
        Long at = Types.wholeOrNull(index);
        yield at == null ? null : character(run, text.text(), at);
      }
      default -> null;
    };
  }

  private static @Nullable Value character(Run run, String text, long at) {
    int n = run.counted(text).codePointCount(0, text.length());
    if (at < -n || at >= n) {
      return null;
    }
    int unit = text.offsetByCodePoints(0, (int) (at < 0 ? at + n : at));
    return new Str(Character.toString(text.codePointAt(unit)));
  }

  /// A method or a value that belongs to the type.
  private static @Nullable Value member(Value target, String name) {
    if (MUTATORS.contains(name) && (target instanceof Items || target instanceof Dict)) {
      return new Undefined(
          "access to attribute '%s' of '%s' object is unsafe.".formatted(name, Types.name(target)));
    }
    return switch (target) {
      case Str text -> bound(name, StringMethods.find(name), text);
      case Items items -> bound(name, CollectionMethods.ofItems(items.kind(), name), items);
      case Dict dict -> bound(name, CollectionMethods.ofDict(name), dict);
      case Namespace namespace -> namespace.attributes().get(name);
      case Callable callable -> callable.attributes().get(name);
      case Loop loop -> loop.attribute(name);
      default -> null;
    };
  }

  private static @Nullable Value bound(String name, Value.@Nullable Function method, Value self) {
    return method == null
        ? null
        : new Callable(name, (run, given) -> method.call(run, given.after(self)));
  }

  /// `target[from:to:step]`.
  static Value slice(
      Run run, Value target, @Nullable Value from, @Nullable Value to, @Nullable Value step) {
    Types.requireDefined(target);
    long stride = step == null || step instanceof None ? 1 : Types.whole(step);
    if (stride == 0) {
      throw new Fault("slice step cannot be zero");
    }
    return switch (target) {
      case Str text -> {
        int[] characters = run.counted(text.text()).codePoints().toArray();
        int[] chosen = indices(characters.length, from, to, stride);
        StringBuilder part = new StringBuilder();
        for (int i : chosen) {
          part.appendCodePoint(characters[i]);
        }
        yield run.text(part.toString());
      }
      case Items items when !items.kind().isView() -> {
        int[] chosen = indices(items.items().size(), from, to, stride);
        run.budget().characters(4L * chosen.length);
        List<Value> part = new ArrayList<>();
        for (int i : chosen) {
          part.add(items.items().get(i));
        }
        yield new Items(part, items.kind());
      }
      default -> throw new Fault("'%s' object is not subscriptable".formatted(Types.name(target)));
    };
  }

  private static int[] indices(int n, @Nullable Value from, @Nullable Value to, long step) {
    boolean forward = step > 0;
    long start = bound(from, n, forward ? 0 : n - 1, forward);
    long end = bound(to, n, forward ? n : -1, forward);
    long count = forward ? Math.max(0, end - start) : Math.max(0, start - end);
    long stride = Math.min(Math.abs(Math.max(step, -Long.MAX_VALUE)), Integer.MAX_VALUE);
    int[] chosen = new int[Math.toIntExact((count + stride - 1) / stride)];
    for (int i = 0; i < chosen.length; i++) {
      chosen[i] = (int) (forward ? start + i * stride : start - i * stride);
    }
    return chosen;
  }

  private static long bound(@Nullable Value value, int n, long absent, boolean forward) {
    if (value == null || value instanceof None) {
      return absent;
    }
    long given = Types.whole(value);
    long least = forward ? 0 : -1;
    long most = forward ? n : n - 1;
    return Math.clamp(given < 0 ? given + n : given, least, most);
  }
}
