package dev.gatun.report;

/// Text inside a page. The page is well-formed XML too: characters that XML has no place for are
/// replaced.
final class Html {
  private Html() {}

  /// `text` as content or as a quoted attribute.
  static String escape(String text) {
    StringBuilder escaped = new StringBuilder(text.length() + 16);
    text.codePoints()
        .forEach(c -> {
          switch (c) {
            case '<' -> escaped.append("&lt;");
            case '>' -> escaped.append("&gt;");
            case '&' -> escaped.append("&amp;");
            case '"' -> escaped.append("&quot;");
            case '\'' -> escaped.append("&#39;");
            default -> escaped.appendCodePoint(isPrintable(c) ? c : 0xFFFD);
          }
        });
    return escaped.toString();
  }

  private static boolean isPrintable(int c) {
    return c == '\n'
        || c == '\t'
        || (c >= 0x20 && c < 0x7F)
        || (c >= 0xA0 && c < 0xD800)
        || (c > 0xDFFF && c < 0xFFFE)
        || c > 0xFFFF;
  }
}
