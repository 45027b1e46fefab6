package dev.gatun.text.chat.jinja;

/// The escapes of a string literal, as in Python.
final class StringEscapes {
  private StringEscapes() {}

  static String decode(String literal, int line) {
    if (literal.indexOf('\\') < 0) {
      return literal;
    }
    StringBuilder text = new StringBuilder(literal.length());
    int i = 0;
    while (i < literal.length()) {
      char c = literal.charAt(i++);
      if (c != '\\') {
        text.append(c);
        continue;
      }
      char escape = literal.charAt(i++);
      switch (escape) {
        case '\n' -> {}
        case 'n' -> text.append('\n');
        case 't' -> text.append('\t');
        case 'r' -> text.append('\r');
        case 'a' -> text.append('\u0007');
        case 'b' -> text.append('\b');
        case 'f' -> text.append('\f');
        case 'v' -> text.append('\u000b');
        case '\\', '\'', '"' -> text.append(escape);
        case 'x' -> i = hexadecimal(literal, i, 2, text, line);
        case 'u' -> i = hexadecimal(literal, i, 4, text, line);
        case 'U' -> i = hexadecimal(literal, i, 8, text, line);
        case '0', '1', '2', '3', '4', '5', '6', '7' -> i = octal(literal, i - 1, text);
        default -> text.append('\\').append(escape);
      }
    }
    return text.toString();
  }

  private static int hexadecimal(
      String literal, int from, int digits, StringBuilder text, int line) {
    int end = from + digits;
    int codePoint = 0;
    for (int i = from; i < end; i++) {
      int digit = i < literal.length() ? Character.digit(literal.charAt(i), 16) : -1;
      if (digit < 0 || codePoint > 0x10ffff) {
        throw new Fault("a string has an escape that needs %d digits".formatted(digits), line);
      }
      codePoint = codePoint * 16 + digit;
    }
    if (!Character.isValidCodePoint(codePoint)) {
      throw new Fault("a string has an escape that is no character", line);
    }
    text.appendCodePoint(codePoint);
    return end;
  }

  private static int octal(String literal, int from, StringBuilder text) {
    int end = from;
    int value = 0;
    while (end < literal.length()
        && end < from + 3
        && Character.digit(literal.charAt(end), 8) >= 0) {
      value = value * 8 + Character.digit(literal.charAt(end++), 8);
    }
    text.append((char) value);
    return end;
  }
}
