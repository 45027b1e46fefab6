package dev.gatun.text.chat.jinja;

import java.util.Locale;

/// Upper and lower case, as Python's `str` sees them.
final class Casing {
  private Casing() {}

  static String fold(String text) {
    return text.toUpperCase(Locale.ROOT).toLowerCase(Locale.ROOT).replace("ß", "ss");
  }

  /// The first character in upper (title) case, the others in lower case.
  static String capitalize(String text) {
    if (text.isEmpty()) {
      return text;
    }
    int first = text.offsetByCodePoints(0, 1);
    return titled(text.substring(0, first)) + text.substring(first).toLowerCase(Locale.ROOT);
  }

  private static String titled(String character) {
    int c = character.codePointAt(0);
    int title = Character.toTitleCase(c);
    return title == c ? character.toUpperCase(Locale.ROOT) : Character.toString(title);
  }

  /// Every letter after something that is no letter in title case.
  static String title(String text) {
    StringBuilder out = new StringBuilder(text.length());
    boolean inside = false;
    for (int i = 0; i < text.length(); ) {
      int c = text.codePointAt(i);
      i += Character.charCount(c);
      boolean cased = isCased(c);
      out.append(
          inside
              ? Character.toString(c).toLowerCase(Locale.ROOT)
              : cased ? titled(Character.toString(c)) : Character.toString(c));
      inside = cased;
    }
    return out.toString();
  }

  static String swap(String text) {
    StringBuilder out = new StringBuilder(text.length());
    text.codePoints()
        .mapToObj(Character::toString)
        .forEach(c ->
            out.append(
                Character.isUpperCase(c.codePointAt(0))
                    ? c.toLowerCase(Locale.ROOT)
                    : c.toUpperCase(Locale.ROOT)));
    return out.toString();
  }

  private static boolean isCased(int c) {
    return Character.isUpperCase(c) || Character.isLowerCase(c) || Character.isTitleCase(c);
  }

  static boolean isUpper(String text) {
    return text.codePoints().anyMatch(Character::isUpperCase)
        && text.codePoints().noneMatch(c -> Character.isLowerCase(c) || Character.isTitleCase(c));
  }

  static boolean isLower(String text) {
    return text.codePoints().anyMatch(Character::isLowerCase)
        && text.codePoints().noneMatch(c -> Character.isUpperCase(c) || Character.isTitleCase(c));
  }

  static boolean isNumeric(int c) {
    int type = Character.getType(c);
    return type == Character.DECIMAL_DIGIT_NUMBER
        || type == Character.LETTER_NUMBER
        || type == Character.OTHER_NUMBER;
  }
}
