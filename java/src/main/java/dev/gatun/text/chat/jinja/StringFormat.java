package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Value.Str;

/// Python's `str.format`: `{}`, `{0}`, `{name.attribute[key]!r:spec}`.
final class StringFormat {
  private final Run run;
  private final Arguments given;
  private final Output out;
  private int automatic;
  private boolean manual;

  private StringFormat(Run run, Arguments given) {
    this.run = run;
    this.given = given;
    this.out = new Output(run.budget());
  }

  static Value format(Run run, Arguments given) {
    String format = StringMethods.self(run, given.positional().getFirst());
    StringFormat formatting = new StringFormat(run, given.from(1));
    formatting.write(format);
    return new Str(formatting.out.toString());
  }

  private void write(String format) {
    int i = 0;
    while (i < format.length()) {
      char c = format.charAt(i);
      boolean doubled = i + 1 < format.length() && format.charAt(i + 1) == c;
      if ((c == '{' || c == '}') && doubled) {
        out.append(String.valueOf(c));
        i += 2;
      } else if (c == '{') {
        int end = format.indexOf('}', i);
        if (end < 0) {
          throw new Fault("expected '}' before end of string");
        }
        out.append(field(format.substring(i + 1, end)));
        i = end + 1;
      } else if (c == '}') {
        throw new Fault("Single '}' encountered in format string");
      } else {
        int next = i + 1;
        while (next < format.length() && format.charAt(next) != '{' && format.charAt(next) != '}') {
          next++;
        }
        out.append(format.substring(i, next));
        i = next;
      }
    }
  }

  private String field(String field) {
    int colon = field.indexOf(':');
    String spec = colon < 0 ? "" : field.substring(colon + 1);
    String head = colon < 0 ? field : field.substring(0, colon);
    int mark = head.indexOf('!');
    String conversion = mark < 0 ? "" : head.substring(mark + 1);
    Value value = value(mark < 0 ? head : head.substring(0, mark));
    Value converted =
        switch (conversion) {
          case "" -> value;
          case "s" -> new Str(Texts.str(run, value));
          case "r" -> new Str(Texts.repr(run, value));
          default -> throw new Fault("Unknown conversion specifier '" + conversion + "'");
        };
    return FormatSpec.apply(run, converted, spec).text();
  }

  private Value value(String path) {
    int end = 0;
    while (end < path.length() && path.charAt(end) != '.' && path.charAt(end) != '[') {
      end++;
    }
    Value value = argument(path.substring(0, end));
    String rest = path.substring(end);
    while (!rest.isEmpty()) {
      run.counted(rest);
      boolean bracket = rest.startsWith("[");
      int stop = bracket ? rest.indexOf(']') : next(rest);
      if (stop < 0 || stop == 1) {
        throw new Fault("Empty attribute in format string");
      }
      String name = rest.substring(1, stop);
      value = bracket ? Access.item(run, value, key(name)) : Access.attribute(run, value, name);
      Types.requireDefined(value);
      rest = rest.substring(bracket ? stop + 1 : stop);
    }
    return value;
  }

  private static int next(String rest) {
    int i = 1;
    while (i < rest.length() && rest.charAt(i) != '.' && rest.charAt(i) != '[') {
      i++;
    }
    return i;
  }

  private static Value key(String name) {
    return name.matches("\\d{1,9}") ? StringMethods.whole(Long.parseLong(name)) : new Str(name);
  }

  private Value argument(String name) {
    if (name.isEmpty() || name.matches("\\d{1,9}")) {
      manual |= !name.isEmpty();
      int index = name.isEmpty() ? automatic++ : Integer.parseInt(name);
      if (manual && automatic > 0) {
        throw new Fault("cannot switch between manual field specification and automatic numbering");
      }
      if (index >= given.positional().size()) {
        throw new Fault("Replacement index %d out of range for positional args".formatted(index));
      }
      return given.positional().get(index);
    }
    Value value = given.named().get(name);
    if (value == null) {
      throw new Fault("format misses its argument '" + name + "'");
    }
    return value;
  }
}
