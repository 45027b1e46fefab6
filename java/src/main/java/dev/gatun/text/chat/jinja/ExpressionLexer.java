package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Token.Kind;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Reads the tokens inside one tag.
final class ExpressionLexer {
  private static final Pattern FLOAT =
      Pattern.compile(
          "(?:\\d+_)*\\d+(?:(?:\\.(?:\\d+_)*\\d+)?[eE][+-]?(?:\\d+_)*\\d+|\\.(?:\\d+_)*\\d+)");
  private static final Pattern INTEGER =
      Pattern.compile("0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[0-9a-fA-F])+|\\d(?:_?\\d)*");
  private static final List<String> OPERATORS =
      List.of(
          "**", "//", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", "~", "[", "]", "(", ")", "{",
          "}", ">", "<", "=", ".", ":", "|", ",", ";");

  private final String source;
  private final List<Token> tokens;
  private final Deque<String> open = new ArrayDeque<>();

  ExpressionLexer(String source, List<Token> tokens) {
    this.source = source;
    this.tokens = tokens;
  }

  /// Whether every bracket that was opened is closed, so that the tag may end.
  boolean balanced() {
    return open.isEmpty();
  }

  /// Reads the token at `at`, which is no whitespace, and returns where it ends.
  int read(int at, int line) {
    char c = source.charAt(at);
    if (c == '\'' || c == '"') {
      return string(at, line);
    }
    if (c >= '0' && c <= '9') {
      return number(at, line);
    }
    int end = at;
    while (end < source.length() && isWord(source.codePointAt(end))) {
      end += Character.charCount(source.codePointAt(end));
    }
    if (end > at) {
      tokens.add(new Token(Kind.NAME, source.substring(at, end), line));
      return end;
    }
    for (String operator : OPERATORS) {
      if (source.startsWith(operator, at)) {
        balance(operator, line);
        tokens.add(new Token(Kind.OPERATOR, operator, line));
        return at + operator.length();
      }
    }
    throw new Fault(
        "unexpected character `" + Character.toString(source.codePointAt(at)) + "`", line);
  }

  private static boolean isWord(int codePoint) {
    return codePoint == '_' || Character.isLetterOrDigit(codePoint);
  }

  private void balance(String operator, int line) {
    switch (operator) {
      case "(" -> open.push(")");
      case "[" -> open.push("]");
      case "{" -> open.push("}");
      case ")", "]", "}" -> {
        if (!operator.equals(open.poll())) {
          throw new Fault("unexpected `" + operator + "`", line);
        }
      }
      default -> {}
    }
  }

  private int number(int at, int line) {
    Matcher floating = FLOAT.matcher(source).region(at, source.length());
    // `a.0.1` are two subscripts, not a fraction.
    boolean afterDot = !tokens.isEmpty() && tokens.getLast().is(Kind.OPERATOR, ".");
    if (!afterDot && floating.lookingAt()) {
      tokens.add(new Token(Kind.FLOAT, floating.group().replace("_", ""), line));
      return floating.end();
    }
    Matcher integer = INTEGER.matcher(source).region(at, source.length());
    if (!integer.lookingAt()) {
      throw new Fault("not a number", line);
    }
    tokens.add(new Token(Kind.INTEGER, integer.group().replace("_", ""), line));
    return integer.end();
  }

  private int string(int at, int line) {
    char quote = source.charAt(at);
    int end = at + 1;
    while (end < source.length() && source.charAt(end) != quote) {
      end += source.charAt(end) == '\\' ? 2 : 1;
    }
    if (end >= source.length()) {
      throw new Fault("a string does not end", line);
    }
    tokens.add(
        new Token(Kind.STRING, StringEscapes.decode(source.substring(at + 1, end), line), line));
    return end + 1;
  }
}
