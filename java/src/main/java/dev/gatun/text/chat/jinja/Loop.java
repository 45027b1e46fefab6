package dev.gatun.text.chat.jinja;

import java.util.List;
import org.jspecify.annotations.Nullable;

/// The variable `loop` of a `for`.
final class Loop implements Value {
  private final List<Value> items;
  private final int level;
  private final @Nullable Callable recursion;
  private int index;
  private @Nullable Value lastChanged;

  /// @param level how many loops of the same recursion are around this one
  /// @param recursion renders the body for other items; null unless the loop is recursive
  Loop(List<Value> items, int level, @Nullable Callable recursion) {
    this.items = items;
    this.level = level;
    this.recursion = recursion;
  }

  void moveTo(int position) {
    index = position;
  }

  @Nullable Callable recursion() {
    return recursion;
  }

  /// @return null if there is no such attribute
  @Nullable Value attribute(String name) {
    int n = items.size();
    return switch (name) {
      case "index" -> new Int(index + 1);
      case "index0" -> new Int(index);
      case "revindex" -> new Int(n - index);
      case "revindex0" -> new Int(n - index - 1);
      case "first" -> Value.of(index == 0);
      case "last" -> Value.of(index == n - 1);
      case "length" -> new Int(n);
      case "depth" -> new Int(level + 1);
      case "depth0" -> new Int(level);
      case "previtem" ->
          index > 0 ? items.get(index - 1) : new Undefined("there is no previous item");
      case "nextitem" ->
          index + 1 < n ? items.get(index + 1) : new Undefined("there is no next item");
      case "cycle" -> new Callable("cycle", (_, given) -> cycle(given.positional()));
      case "changed" -> new Callable("changed", this::changed);
      default -> null;
    };
  }

  private Value cycle(List<Value> values) {
    if (values.isEmpty()) {
      throw new Fault("no items for cycling given");
    }
    return values.get(index % values.size());
  }

  private Value changed(Run run, Arguments given) {
    Value now = new Items(given.positional(), Items.Kind.TUPLE);
    boolean changed = lastChanged == null || !Comparison.equal(run, lastChanged, now);
    lastChanged = now;
    return Value.of(changed);
  }

  String shown() {
    return "<LoopContext %d/%d>".formatted(index + 1, items.size());
  }
}
