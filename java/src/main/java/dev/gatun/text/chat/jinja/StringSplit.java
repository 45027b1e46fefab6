package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Value.Items;
import dev.gatun.text.chat.jinja.Value.None;
import dev.gatun.text.chat.jinja.Value.Str;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// `split`, `rsplit`, `splitlines` and `partition` of a text.
final class StringSplit {
  private StringSplit() {}

  static Value split(Run run, Arguments given, boolean fromRight) {
    @Nullable Value[] a = given.bind("split", 1, "self", "sep", "maxsplit");
    String text = StringMethods.self(run, a[0]);
    long most = a[2] == null ? -1 : Types.whole(a[2]);
    boolean blanks = a[1] == null || a[1] instanceof None;
    String separator = blanks ? "" : StringMethods.text(a[1]);
    if (!blanks && separator.isEmpty()) {
      throw new Fault("empty separator");
    }
    run.budget().characters((long) text.length() * separator.length() / 64);
    List<String> parts =
        blanks
            ? (fromRight ? wordsFromRight(text, most) : words(text, most))
            : (fromRight
                ? separatedFromRight(text, separator, most)
                : separated(text, separator, most));
    run.counted(text);
    return run.list(StringMethods.texts(parts));
  }

  private static List<String> separated(String text, String separator, long most) {
    List<String> parts = new ArrayList<>();
    int from = 0;
    for (int at = text.indexOf(separator);
        at >= 0 && (most < 0 || parts.size() < most);
        at = text.indexOf(separator, from)) {
      parts.add(text.substring(from, at));
      from = at + separator.length();
    }
    parts.add(text.substring(from));
    return parts;
  }

  private static List<String> separatedFromRight(String text, String separator, long most) {
    List<String> parts = new ArrayList<>();
    int to = text.length();
    int at = text.lastIndexOf(separator, to - separator.length());
    while (at >= 0 && (most < 0 || parts.size() < most)) {
      parts.add(text.substring(at + separator.length(), to));
      to = at;
      at = to < separator.length() ? -1 : text.lastIndexOf(separator, to - separator.length());
    }
    parts.add(text.substring(0, to));
    Collections.reverse(parts);
    return parts;
  }

  private static List<String> words(String text, long most) {
    List<String> parts = new ArrayList<>();
    String rest = Whitespace.stripLeading(text);
    int from = 0;
    while (from < rest.length()) {
      if (most >= 0 && parts.size() >= most) {
        parts.add(Whitespace.stripTrailing(rest.substring(from)));
        return parts;
      }
      int to = from;
      while (to < rest.length() && !Whitespace.is(rest.charAt(to))) {
        to++;
      }
      parts.add(rest.substring(from, to));
      from = to;
      while (from < rest.length() && Whitespace.is(rest.charAt(from))) {
        from++;
      }
    }
    return parts;
  }

  private static List<String> wordsFromRight(String text, long most) {
    List<String> parts = new ArrayList<>();
    int to = endOfWord(text, text.length());
    while (to > 0) {
      if (most >= 0 && parts.size() >= most) {
        parts.add(text.substring(0, to));
        break;
      }
      int from = to;
      while (from > 0 && !Whitespace.is(text.charAt(from - 1))) {
        from--;
      }
      parts.add(text.substring(from, to));
      to = endOfWord(text, from);
    }
    Collections.reverse(parts);
    return parts;
  }

  private static int endOfWord(String text, int from) {
    int end = from;
    while (end > 0 && Whitespace.is(text.charAt(end - 1))) {
      end--;
    }
    return end;
  }

  static Value lines(Run run, Arguments given) {
    @Nullable Value[] a = given.bind("splitlines", 1, "self", "keepends");
    boolean keep = a[1] != null && Types.truth(a[1]);
    return run.list(StringMethods.texts(lines(StringMethods.self(run, a[0]), keep)));
  }

  static List<String> lines(String text, boolean keepEnds) {
    List<String> lines = new ArrayList<>();
    int from = 0;
    for (int i = 0; i < text.length(); i++) {
      if (!Whitespace.isLineBreak(text.charAt(i))) {
        continue;
      }
      int end = i;
      if (text.charAt(i) == '\r' && i + 1 < text.length() && text.charAt(i + 1) == '\n') {
        i++;
      }
      lines.add(text.substring(from, keepEnds ? i + 1 : end));
      from = i + 1;
    }
    if (from < text.length()) {
      lines.add(text.substring(from));
    }
    return lines;
  }

  static Value partition(Run run, Arguments given, boolean last) {
    @Nullable Value[] a = given.bind("partition", 2, "self", "sep");
    String text = StringMethods.self(run, a[0]);
    String separator = StringMethods.text(a[1]);
    if (separator.isEmpty()) {
      throw new Fault("empty separator");
    }
    int at =
        last
            ? Texts.lastIndexOf(run, text, separator, text.length())
            : Texts.indexOf(run, text, separator, 0);
    if (at < 0) {
      return last
          ? Items.tuple(Str.EMPTY, Str.EMPTY, new Str(text))
          : Items.tuple(new Str(text), Str.EMPTY, Str.EMPTY);
    }
    return Items.tuple(
        new Str(text.substring(0, at)),
        new Str(separator),
        new Str(text.substring(at + separator.length())));
  }
}
