package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Value.Int;
import dev.gatun.text.chat.jinja.Value.None;
import org.jspecify.annotations.Nullable;

/// `find`, `index`, `count` of a text, in code points.
final class StringSearch {
  private StringSearch() {}

  static Value find(Run run, Arguments given, boolean last, boolean required) {
    @Nullable Value[] a = given.bind("find", 2, "self", "sub", "start", "end");
    String whole = StringMethods.self(run, a[0]);
    String part = part(whole, a[2], a[3]);
    String sought = StringMethods.text(a[1]);
    int at =
        last
            ? Texts.lastIndexOf(run, part, sought, part.length())
            : Texts.indexOf(run, part, sought, 0);
    if (at < 0) {
      if (required) {
        throw new Fault("substring not found");
      }
      return new Int(-1);
    }
    return new Int(start(whole, a[2]) + part.codePointCount(0, at));
  }

  static Value count(Run run, Arguments given) {
    @Nullable Value[] a = given.bind("count", 2, "self", "sub", "start", "end");
    String text = part(StringMethods.self(run, a[0]), a[2], a[3]);
    String sought = StringMethods.text(a[1]);
    if (sought.isEmpty()) {
      return new Int(text.codePointCount(0, text.length()) + 1L);
    }
    run.budget().characters((long) text.length() * sought.length() / 64);
    long count = 0;
    for (int at = text.indexOf(sought); at >= 0; at = text.indexOf(sought, at + sought.length())) {
      count++;
    }
    return new Int(count);
  }

  /// The slice `text[start:end]`.
  static String part(String text, @Nullable Value start, @Nullable Value end) {
    boolean whole =
        (start == null || start instanceof None) && (end == null || end instanceof None);
    if (whole) {
      return text;
    }
    int n = text.codePointCount(0, text.length());
    int from = start(text, start);
    int to = end == null || end instanceof None ? n : clamped(Types.whole(end), n);
    return from >= to
        ? ""
        : text.substring(text.offsetByCodePoints(0, from), text.offsetByCodePoints(0, to));
  }

  private static int start(String text, @Nullable Value start) {
    return start == null || start instanceof None
        ? 0
        : clamped(Types.whole(start), text.codePointCount(0, text.length()));
  }

  private static int clamped(long index, int n) {
    return Math.clamp(index < 0 ? index + n : index, 0, n);
  }
}
