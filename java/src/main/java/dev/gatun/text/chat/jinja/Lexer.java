package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Token.Kind;
import java.util.ArrayList;
import java.util.List;

/// Cuts a template into tokens, with Jinja2's whitespace control and `trim_blocks` and
/// `lstrip_blocks` switched on: a block or comment loses the blanks before it on its line and the
/// line break after it; `-` takes all whitespace, `+` keeps what is there.
final class Lexer {
  private final String source;
  private final List<Token> tokens = new ArrayList<>();
  private int position;
  private int line = 1;

  private Lexer(String source) {
    this.source = source;
  }

  /// @throws Fault for a tag, string or comment that does not end
  static List<Token> tokens(String source) {
    return new Lexer(normalised(source)).run();
  }

  /// Line breaks become `\n`, and one at the end of the template is dropped.
  private static String normalised(String source) {
    String text = source.replace("\r\n", "\n").replace('\r', '\n');
    return text.endsWith("\n") ? text.substring(0, text.length() - 1) : text;
  }

  private List<Token> run() {
    boolean lineStarting = true;
    while (position < source.length()) {
      int tag = nextTag(position);
      if (tag < 0) {
        data(source.substring(position));
        advance(source.length());
        break;
      }
      data(before(tag, lineStarting));
      advance(tag);
      char kind = source.charAt(tag + 1);
      switch (kind) {
        case '#' -> comment();
        case '{' -> expression(Kind.VARIABLE_BEGIN, Kind.VARIABLE_END, "}}");
        default -> {
          if (!raw()) {
            expression(Kind.BLOCK_BEGIN, Kind.BLOCK_END, "%}");
          }
        }
      }
      lineStarting = source.charAt(position - 1) == '\n';
    }
    add(Kind.END, "");
    return tokens;
  }

  private int nextTag(int from) {
    for (int i = source.indexOf('{', from); i >= 0; i = source.indexOf('{', i + 1)) {
      if (i + 1 < source.length() && "%{#".indexOf(source.charAt(i + 1)) >= 0) {
        return i;
      }
    }
    return -1;
  }

  /// The text before a tag, less what the tag's whitespace control takes.
  private String before(int tag, boolean lineStarting) {
    return before(tag, source.charAt(tag + 1) != '{', lineStarting);
  }

  private String before(int tag, boolean lstrip, boolean lineStarting) {
    String text = source.substring(position, tag);
    char sign = tag + 2 < source.length() ? source.charAt(tag + 2) : ' ';
    if (sign == '-') {
      return Whitespace.stripTrailing(text);
    }
    if (sign != '+' && lstrip) {
      int lineStart = text.lastIndexOf('\n') + 1;
      boolean atLineStart = lineStart > 0 || lineStarting;
      if (atLineStart && Whitespace.stripTrailing(text.substring(lineStart)).isEmpty()) {
        return text.substring(0, lineStart);
      }
    }
    return text;
  }

  private void data(String text) {
    if (!text.isEmpty()) {
      add(Kind.DATA, text);
    }
  }

  private void add(Kind kind, String text) {
    tokens.add(new Token(kind, text, line));
  }

  /// Moves on, counting lines.
  private void advance(int to) {
    for (int i = position; i < to; i++) {
      if (source.charAt(i) == '\n') {
        line++;
      }
    }
    position = to;
  }

  private void comment() {
    int end = source.indexOf("#}", position + 2);
    if (end < 0) {
      throw new Fault("a comment {# does not end", line);
    }
    char sign = end > position + 2 ? source.charAt(end - 1) : ' ';
    advance(end + 2);
    afterBlock(sign);
  }

  /// What a block's or comment's end takes of the text behind it.
  private void afterBlock(char sign) {
    if (sign == '-') {
      skipWhitespace();
    } else if (sign != '+' && position < source.length() && source.charAt(position) == '\n') {
      advance(position + 1);
    }
  }

  private void skipWhitespace() {
    int end = position;
    while (end < source.length() && Whitespace.is(source.charAt(end))) {
      end++;
    }
    advance(end);
  }

  /// `{% raw %}` and everything up to `{% endraw %}`; false if the block is another.
  private boolean raw() {
    int bodyStart = rawTag(position, "raw");
    if (bodyStart < 0) {
      return false;
    }
    boolean strips = source.charAt(bodyStart - 3) == '-';
    advance(bodyStart);
    if (strips) {
      skipWhitespace();
    }
    for (int i = source.indexOf("{%", position); i >= 0; i = source.indexOf("{%", i + 2)) {
      int end = rawTag(i, "endraw");
      if (end >= 0) {
        data(before(i, true, source.charAt(position - 1) == '\n'));
        advance(end);
        afterBlock(source.charAt(end - 3));
        return true;
      }
    }
    throw new Fault("{% raw %} has no {% endraw %}", line);
  }

  /// Where the tag `{% name %}` at `from` ends, or -1 if there is another one.
  private int rawTag(int from, String name) {
    int i = from + 2;
    if (i < source.length() && "+-".indexOf(source.charAt(i)) >= 0) {
      i++;
    }
    i = pastWhitespace(i);
    if (!source.startsWith(name, i)) {
      return -1;
    }
    i = pastWhitespace(i + name.length());
    if (i < source.length() && "+-".indexOf(source.charAt(i)) >= 0) {
      i++;
    }
    return source.startsWith("%}", i) ? i + 2 : -1;
  }

  private int pastWhitespace(int from) {
    int i = from;
    while (i < source.length() && Whitespace.is(source.charAt(i))) {
      i++;
    }
    return i;
  }

  private void expression(Kind begin, Kind end, String closing) {
    add(begin, "");
    int opened = line;
    advance(position + 2);
    if (position < source.length() && "+-".indexOf(source.charAt(position)) >= 0) {
      advance(position + 1);
    }
    ExpressionLexer words = new ExpressionLexer(source, tokens);
    while (true) {
      skipWhitespace();
      if (position >= source.length()) {
        throw new Fault("a tag does not end: " + closing + " is missing", opened);
      }
      char next = source.charAt(position);
      boolean signed = (next == '-' || (next == '+' && end == Kind.BLOCK_END));
      if (words.balanced() && source.startsWith(closing, signed ? position + 1 : position)) {
        add(end, "");
        advance(position + (signed ? 3 : 2));
        if (end == Kind.BLOCK_END) {
          afterBlock(signed ? next : ' ');
        } else if (signed) {
          skipWhitespace();
        }
        return;
      }
      advance(words.read(position, line));
    }
  }
}
