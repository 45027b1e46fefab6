package dev.gatun.text.chat.jinja;

import java.time.LocalDateTime;
import java.time.format.DateTimeFormatter;
import java.time.format.TextStyle;
import java.time.temporal.IsoFields;
import java.util.Locale;

/// C's `strftime` in English.
final class Strftime {
  private static final int LONGEST = 4096;

  private Strftime() {}

  static String format(LocalDateTime now, String format) {
    if (format.length() > LONGEST) {
      throw new Fault("a date format of more than %d characters".formatted(LONGEST));
    }
    StringBuilder out = new StringBuilder();
    for (int i = 0; i < format.length(); i++) {
      char c = format.charAt(i);
      if (c != '%' || i + 1 >= format.length()) {
        out.append(c);
        continue;
      }
      char directive = format.charAt(++i);
      boolean bare = directive == '-' && i + 1 < format.length();
      if (bare) {
        directive = format.charAt(++i);
      }
      String field = field(now, directive);
      out.append(bare ? field.replaceFirst("^[0 ]+(?=.)", "") : field);
    }
    return out.toString();
  }

  private static String field(LocalDateTime now, char directive) {
    return switch (directive) {
      case 'Y' -> Integer.toString(now.getYear());
      case 'y' -> "%02d".formatted(now.getYear() % 100);
      case 'C' -> "%02d".formatted(now.getYear() / 100);
      case 'm' -> "%02d".formatted(now.getMonthValue());
      case 'd' -> "%02d".formatted(now.getDayOfMonth());
      case 'e' -> "%2d".formatted(now.getDayOfMonth());
      case 'j' -> "%03d".formatted(now.getDayOfYear());
      case 'H' -> "%02d".formatted(now.getHour());
      case 'I' -> "%02d".formatted((now.getHour() + 11) % 12 + 1);
      case 'M' -> "%02d".formatted(now.getMinute());
      case 'S' -> "%02d".formatted(now.getSecond());
      case 'f' -> "%06d".formatted(now.getNano() / 1000);
      case 'p' -> now.getHour() < 12 ? "AM" : "PM";
      case 'B' -> now.getMonth().getDisplayName(TextStyle.FULL, Locale.ENGLISH);
      case 'b', 'h' -> now.getMonth().getDisplayName(TextStyle.SHORT, Locale.ENGLISH);
      case 'A' -> now.getDayOfWeek().getDisplayName(TextStyle.FULL, Locale.ENGLISH);
      case 'a' -> now.getDayOfWeek().getDisplayName(TextStyle.SHORT, Locale.ENGLISH);
      case 'u' -> Integer.toString(now.getDayOfWeek().getValue());
      case 'w' -> Integer.toString(now.getDayOfWeek().getValue() % 7);
      case 'V' -> "%02d".formatted(now.get(IsoFields.WEEK_OF_WEEK_BASED_YEAR));
      case 'G' -> Integer.toString(now.get(IsoFields.WEEK_BASED_YEAR));
      case 'F' -> now.format(DateTimeFormatter.ISO_LOCAL_DATE);
      case 'D', 'x' -> format(now, "%m/%d/%y");
      case 'T', 'X' -> format(now, "%H:%M:%S");
      case 'R' -> format(now, "%H:%M");
      case 'c' -> format(now, "%a %b %e %H:%M:%S %Y");
      case 'n' -> "\n";
      case 't' -> "\t";
      case 'Z', 'z' -> "";
      case '%' -> "%";
      default -> "%" + directive;
    };
  }
}
