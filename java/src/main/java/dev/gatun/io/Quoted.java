package dev.gatun.io;

import tools.jackson.core.JacksonException;

/// Text from a file as it may appear in a one-line message.
final class Quoted {
  private static final int LIMIT = 160;

  private Quoted() {}

  /// `text` in single quotes, control characters replaced, shortened when very long.
  static String of(String text) {
    return "'" + line(text, LIMIT) + "'";
  }

  /// The first line of a library's message, shortened.
  static String reason(Throwable e) {
    String message = e instanceof JacksonException j ? j.getOriginalMessage() : e.getMessage();
    if (message == null) {
      return e.getClass().getSimpleName();
    }
    // Jackson adds where the unfinished value began, which it does not know for text in memory.
    String first =
        message.lines().findFirst().orElse("").replaceFirst(" \\(start marker at .*", "");
    return line(first, LIMIT);
  }

  private static String line(String text, int limit) {
    StringBuilder line = new StringBuilder();
    text.codePoints()
        .limit(limit)
        .map(c -> Character.isISOControl(c) ? 0xFFFD : c)
        .forEach(line::appendCodePoint);
    return line.length() < text.length() ? line.append("...").toString() : line.toString();
  }
}
