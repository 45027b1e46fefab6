package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Value.Int;
import dev.gatun.text.chat.jinja.Value.Items;
import dev.gatun.text.chat.jinja.Value.Str;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/// Filters that make text of text.
final class TextFilters {
  private static final Pattern WORD_START = Pattern.compile("([-\\s({\\[<]+)");
  private static final Pattern WORD = Pattern.compile("\\w+", Pattern.UNICODE_CHARACTER_CLASS);

  private TextFilters() {}

  private static String text(Run run, @Nullable Value value) {
    return run.counted(Texts.str(run, Filters.required(value)));
  }

  static Value trim(Run run, Arguments given) {
    @Nullable Value[] a = given.bind("trim", 1, "value", "chars");
    return run.text(StringMethods.strip(run, text(run, a[0]), a[1], true, true));
  }

  static Value string(Run run, Arguments given) {
    return new Str(text(run, given.bind("string", 1, "value")[0]));
  }

  static Value escape(Run run, Arguments given) {
    Value text = new Str(text(run, given.bind("escape", 1, "value")[0]));
    for (List<String> pair :
        List.of(
            List.of("&", "&amp;"),
            List.of("<", "&lt;"),
            List.of(">", "&gt;"),
            List.of("'", "&#39;"),
            List.of("\"", "&#34;"))) {
      text = StringMethods.replace(run, Types.text(text), pair.get(0), pair.get(1), -1);
    }
    return text;
  }

  static Value upper(Run run, Arguments given) {
    return run.text(text(run, given.bind("upper", 1, "s")[0]).toUpperCase(Locale.ROOT));
  }

  static Value lower(Run run, Arguments given) {
    return run.text(text(run, given.bind("lower", 1, "s")[0]).toLowerCase(Locale.ROOT));
  }

  static Value capitalize(Run run, Arguments given) {
    return run.text(Casing.capitalize(text(run, given.bind("capitalize", 1, "s")[0])));
  }

  /// Unlike the method, a word starts after blanks, hyphens and opening brackets only.
  static Value title(Run run, Arguments given) {
    String text = text(run, given.bind("title", 1, "s")[0]);
    StringBuilder out = new StringBuilder(text.length());
    Matcher m = WORD_START.matcher(text);
    int from = 0;
    while (m.find()) {
      out.append(word(text.substring(from, m.start()))).append(m.group());
      from = m.end();
    }
    return run.text(out.append(word(text.substring(from))).toString());
  }

  private static String word(String word) {
    if (word.isEmpty()) {
      return word;
    }
    int first = word.offsetByCodePoints(0, 1);
    return word.substring(0, first).toUpperCase(Locale.ROOT)
        + word.substring(first).toLowerCase(Locale.ROOT);
  }

  static Value replace(Run run, Arguments given) {
    @Nullable Value[] a = given.bind("replace", 3, "s", "old", "new", "count");
    long most = a[3] == null || a[3] instanceof Value.None ? -1 : Types.whole(a[3]);
    return StringMethods.replace(run, text(run, a[0]), text(run, a[1]), text(run, a[2]), most);
  }

  static Value indent(Run run, Arguments given) {
    @Nullable Value[] a = given.bind("indent", 1, "s", "width", "first", "blank");
    String indention = a[1] instanceof Str s ? s.text() : " ".repeat(width(a[1]));
    boolean first = a[2] != null && Types.truth(a[2]);
    boolean blank = a[3] != null && Types.truth(a[3]);
    List<String> lines =
        StringSplit.lines(run.counted(Types.text(Filters.required(a[0]))) + "\n", false);
    Output out = new Output(run.budget());
    for (int i = 0; i < lines.size(); i++) {
      out.append(i == 0 ? "" : "\n");
      boolean indented = i == 0 ? first : blank || !lines.get(i).isEmpty();
      out.append(indented ? indention : "").append(lines.get(i));
    }
    return new Str(out.toString());
  }

  private static int width(@Nullable Value value) {
    return value == null ? 4 : Math.clamp(Types.whole(value), 0, 1 << 16);
  }

  static Value center(Run run, Arguments given) {
    @Nullable Value[] a = given.bind("center", 1, "value", "width");
    Value width = a[1] == null ? new Int(80) : a[1];
    return Padding.method(
        run, new Arguments(List.of(new Str(text(run, a[0])), width), Map.of()), "center", '^');
  }

  static Value format(Run run, Arguments given) {
    String format = text(run, given.positional().getFirst());
    Arguments values = given.from(1);
    if (!values.named().isEmpty() && !values.positional().isEmpty()) {
      throw new Fault("can't handle positional and keyword arguments at the same time");
    }
    Value row =
        values.named().isEmpty()
            ? new Items(values.positional(), Items.Kind.TUPLE)
            : Value.dict(values.named());
    return new Str(PercentFormat.format(run, format, row));
  }

  static Value truncate(Run run, Arguments given) {
    @Nullable Value[] a = given.bind("truncate", 1, "s", "length", "killwords", "end", "leeway");
    String text = run.counted(Types.text(Filters.required(a[0])));
    int length = a[1] == null ? 255 : Types.count(a[1]);
    String end = a[3] == null ? "..." : Types.text(a[3]);
    int leeway = a[4] == null || a[4] instanceof Value.None ? 5 : Types.count(a[4]);
    int[] characters = text.codePoints().toArray();
    int kept = length - end.codePointCount(0, end.length());
    if (kept < 0 || leeway < 0) {
      throw new Fault("truncate needs a length of at least that of its end");
    }
    if (characters.length <= (long) length + leeway) {
      return new Str(text);
    }
    String cut = new String(characters, 0, kept);
    int blank = cut.lastIndexOf(' ');
    boolean whole = (a[2] != null && Types.truth(a[2])) || blank < 0;
    return run.text((whole ? cut : cut.substring(0, blank)) + end);
  }

  static Value wordCount(Run run, Arguments given) {
    return new Int(WORD.matcher(text(run, given.bind("wordcount", 1, "s")[0])).results().count());
  }

  static Value urlEncode(Run run, Arguments given) {
    Value value = Filters.required(given.bind("urlencode", 1, "value")[0]);
    if (Types.isIterable(value) && !(value instanceof Str || value instanceof Value.Undefined)) {
      throw new Fault("urlencode takes a text, not " + Types.name(value));
    }
    String encoded = URLEncoder.encode(text(run, value), StandardCharsets.UTF_8);
    return run.text(
        encoded.replace("+", "%20").replace("%2F", "/").replace("*", "%2A").replace("%7E", "~"));
  }
}
