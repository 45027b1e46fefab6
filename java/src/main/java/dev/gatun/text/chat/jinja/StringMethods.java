package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Value.Function;
import dev.gatun.text.chat.jinja.Value.Int;
import dev.gatun.text.chat.jinja.Value.Items;
import dev.gatun.text.chat.jinja.Value.None;
import dev.gatun.text.chat.jinja.Value.Str;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;

/// The methods of Python's `str`. Each takes the text itself first.
final class StringMethods {
  private static final Map<String, Function> METHODS =
      Map.ofEntries(
          Map.entry("upper", (r, g) -> r.text(self(r, g, "upper").toUpperCase(Locale.ROOT))),
          Map.entry("lower", (r, g) -> r.text(self(r, g, "lower").toLowerCase(Locale.ROOT))),
          Map.entry("casefold", (r, g) -> r.text(Casing.fold(self(r, g, "casefold")))),
          Map.entry("title", (r, g) -> r.text(Casing.title(self(r, g, "title")))),
          Map.entry("capitalize", (r, g) -> r.text(Casing.capitalize(self(r, g, "capitalize")))),
          Map.entry("swapcase", (r, g) -> r.text(Casing.swap(self(r, g, "swapcase")))),
          Map.entry("strip", (r, g) -> strip(r, g, true, true)),
          Map.entry("lstrip", (r, g) -> strip(r, g, true, false)),
          Map.entry("rstrip", (r, g) -> strip(r, g, false, true)),
          Map.entry("startswith", (r, g) -> affix(r, g, true)),
          Map.entry("endswith", (r, g) -> affix(r, g, false)),
          Map.entry("removeprefix", (r, g) -> remove(r, g, true)),
          Map.entry("removesuffix", (r, g) -> remove(r, g, false)),
          Map.entry("split", (r, g) -> StringSplit.split(r, g, false)),
          Map.entry("rsplit", (r, g) -> StringSplit.split(r, g, true)),
          Map.entry("splitlines", StringSplit::lines),
          Map.entry("partition", (r, g) -> StringSplit.partition(r, g, false)),
          Map.entry("rpartition", (r, g) -> StringSplit.partition(r, g, true)),
          Map.entry("join", StringMethods::join),
          Map.entry("replace", StringMethods::replace),
          Map.entry("find", (r, g) -> StringSearch.find(r, g, false, false)),
          Map.entry("rfind", (r, g) -> StringSearch.find(r, g, true, false)),
          Map.entry("index", (r, g) -> StringSearch.find(r, g, false, true)),
          Map.entry("rindex", (r, g) -> StringSearch.find(r, g, true, true)),
          Map.entry("count", StringSearch::count),
          Map.entry("center", (r, g) -> Padding.method(r, g, "center", '^')),
          Map.entry("ljust", (r, g) -> Padding.method(r, g, "ljust", '<')),
          Map.entry("rjust", (r, g) -> Padding.method(r, g, "rjust", '>')),
          Map.entry("zfill", Padding::zeros),
          Map.entry("format", StringFormat::format),
          Map.entry("isalpha", (r, g) -> all(r, g, Character::isLetter)),
          Map.entry("isalnum", (r, g) -> all(r, g, Character::isLetterOrDigit)),
          Map.entry("isdigit", (r, g) -> all(r, g, Character::isDigit)),
          Map.entry("isdecimal", (r, g) -> all(r, g, Character::isDigit)),
          Map.entry("isnumeric", (r, g) -> all(r, g, Casing::isNumeric)),
          Map.entry("isspace", (r, g) -> all(r, g, Whitespace::is)),
          Map.entry(
              "isascii", (r, g) -> Value.of(self(r, g, "isascii").chars().allMatch(c -> c < 128))),
          Map.entry("isupper", (r, g) -> Value.of(Casing.isUpper(self(r, g, "isupper")))),
          Map.entry("islower", (r, g) -> Value.of(Casing.isLower(self(r, g, "islower")))));

  private StringMethods() {}

  static @Nullable Function find(String name) {
    return METHODS.get(name);
  }

  private static String self(Run run, Arguments given, String name) {
    return self(run, given.bind(name, 1, "self")[0]);
  }

  /// The text itself, counted as read.
  static String self(Run run, @Nullable Value value) {
    return run.counted(text(value));
  }

  static String text(@Nullable Value value) {
    return Types.text(value == null ? Value.NONE : value);
  }

  private static Value all(Run run, Arguments given, IntPredicate property) {
    String text = self(run, given, "is…");
    return Value.of(!text.isEmpty() && text.codePoints().allMatch(property));
  }

  private static Value strip(Run run, Arguments given, boolean left, boolean right) {
    @Nullable Value[] a = given.bind("strip", 1, "self", "chars");
    String text = self(run, a[0]);
    return run.text(strip(run, text, a[1], left, right));
  }

  /// @param characters what is stripped; null or none for whitespace
  static String strip(
      Run run, String text, @Nullable Value characters, boolean left, boolean right) {
    if (characters == null || characters instanceof None) {
      String stripped = left ? Whitespace.stripLeading(text) : text;
      return right ? Whitespace.stripTrailing(stripped) : stripped;
    }
    String set = Types.text(characters);
    run.budget().characters((long) text.length() * set.length() / 16);
    int start = 0;
    int end = text.length();
    while (left && start < end && set.indexOf(text.codePointAt(start)) >= 0) {
      start += Character.charCount(text.codePointAt(start));
    }
    while (right && end > start && set.indexOf(text.codePointBefore(end)) >= 0) {
      end -= Character.charCount(text.codePointBefore(end));
    }
    return text.substring(start, end);
  }

  private static Value affix(Run run, Arguments given, boolean front) {
    String name = front ? "startswith" : "endswith";
    @Nullable Value[] a = given.bind(name, 2, "self", "affix", "start", "end");
    String text = StringSearch.part(self(run, a[0]), a[2], a[3]);
    List<Value> choices =
        a[1] instanceof Items items && items.kind() == Items.Kind.TUPLE
            ? items.items()
            : List.of(new Str(text(a[1])));
    for (Value choice : choices) {
      String affix = Types.text(choice);
      run.budget().characters(affix.length());
      if (front ? text.startsWith(affix) : text.endsWith(affix)) {
        return Value.TRUE;
      }
    }
    return Value.FALSE;
  }

  private static Value remove(Run run, Arguments given, boolean front) {
    @Nullable Value[] a = given.bind("remove…", 2, "self", "affix");
    String text = self(run, a[0]);
    String affix = text(a[1]);
    if (front) {
      return run.text(text.startsWith(affix) ? text.substring(affix.length()) : text);
    }
    return run.text(
        text.endsWith(affix) ? text.substring(0, text.length() - affix.length()) : text);
  }

  private static Value join(Run run, Arguments given) {
    @Nullable Value[] a = given.bind("join", 2, "self", "iterable");
    Output out = new Output(run.budget());
    String separator = "";
    int i = 0;
    for (Value item : Types.items(run, a[1] == null ? Value.NONE : a[1])) {
      if (!(item instanceof Str part)) {
        throw new Fault(
            "sequence item %d: expected str instance, %s found".formatted(i, Types.name(item)));
      }
      out.append(separator).append(part.text());
      separator = text(a[0]);
      i++;
    }
    return new Str(out.toString());
  }

  private static Value replace(Run run, Arguments given) {
    @Nullable Value[] a = given.bind("replace", 3, "self", "old", "new", "count");
    long most = a[3] == null ? -1 : Types.whole(a[3]);
    return replace(run, self(run, a[0]), text(a[1]), text(a[2]), most);
  }

  /// @param most how many are replaced; negative for all
  static Value replace(Run run, String text, String old, String replacement, long most) {
    Output out = new Output(run.budget());
    if (old.isEmpty()) {
      return between(out, text, replacement, most);
    }
    int from = 0;
    for (long done = 0; most < 0 || done < most; done++) {
      int at = text.indexOf(old, from);
      if (at < 0) {
        break;
      }
      run.budget().characters((at - from) * (long) old.length() / 64);
      out.append(text.substring(from, at)).append(replacement);
      from = at + old.length();
    }
    return new Str(out.append(text.substring(from)).toString());
  }

  private static Value between(Output out, String text, String replacement, long most) {
    long done = 0;
    int from = 0;
    while (most < 0 || done < most) {
      out.append(replacement);
      done++;
      if (from >= text.length()) {
        return new Str(out.toString());
      }
      int next = from + Character.charCount(text.codePointAt(from));
      out.append(text.substring(from, next));
      from = next;
    }
    return new Str(out.append(text.substring(from)).toString());
  }

  static Value whole(long value) {
    return new Int(value);
  }

  static List<Value> texts(List<String> parts) {
    List<Value> values = new ArrayList<>(parts.size());
    parts.forEach(part -> values.add(new Str(part)));
    return values;
  }
}
