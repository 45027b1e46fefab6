package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Value.Str;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/// Python's format specifications: `[[fill]align][sign][#][0][width][,][.precision][type]`.
///
/// @param fill what fills up
/// @param align `<`, `>`, `^`, `=`, or 0 for the type's own
/// @param sign `+`, `-` or blank
/// @param precision digits, or -1
/// @param type a letter, or 0
record FormatSpec(
    String fill,
    char align,
    char sign,
    boolean alternate,
    long width,
    boolean grouped,
    int precision,
    char type) {
  private static final Pattern SPEC =
      Pattern.compile(
          "(?:(.)?([<>=^]))?([+\\- ])?(#)?(0)?(\\d{0,7})(,)?(?:\\.(\\d{1,4}))?([bcdeEfFgGnosxX%])?",
          Pattern.DOTALL);

  /// No type, and those of whole numbers.
  private static final String INTEGRAL = "\0bcdnoxX";

  static FormatSpec parse(String spec) {
    Matcher m = SPEC.matcher(spec);
    if (!m.matches()) {
      throw new Fault("Invalid format specifier '" + spec + "'");
    }
    boolean zero = m.group(5) != null;
    String fill = group(m, 1, zero ? "0" : " ");
    String align = group(m, 2, zero ? "=" : "\0");
    return new FormatSpec(
        fill,
        align.charAt(0),
        group(m, 3, "-").charAt(0),
        m.group(4) != null,
        group(m, 6, "").isEmpty() ? 0 : Long.parseLong(m.group(6)),
        m.group(7) != null,
        m.group(8) == null ? -1 : Integer.parseInt(m.group(8)),
        group(m, 9, "\0").charAt(0));
  }

  private static String group(Matcher m, int group, String absent) {
    String text = m.group(group);
    return text == null ? absent : text;
  }

  String apply(Run run, Value value) {
    if (!Types.isNumber(value) || (value instanceof Value.Bool && type == 0)) {
      return text(run, Texts.str(run, value));
    }
    Long whole = Types.wholeOrNull(value);
    if (whole != null && INTEGRAL.indexOf(type) >= 0) {
      return whole(run, whole);
    }
    if (INTEGRAL.indexOf(type) > 0) {
      throw new Fault("Unknown format code '%c' for object of type 'float'".formatted(type));
    }
    double number = Types.floating(value);
    return signed(run, isNegative(number), floating(number));
  }

  private String whole(Run run, long value) {
    if (type != 'c') {
      return signed(run, value < 0, integer(value));
    }
    if (value < 0 || value > Character.MAX_CODE_POINT) {
      throw new Fault("%c arg not in range(0x110000)");
    }
    return text(run, Character.toString((int) value));
  }

  private static boolean isNegative(double value) {
    return value < 0 || (value == 0 && 1 / value < 0);
  }

  private String text(Run run, String text) {
    int n = text.codePointCount(0, text.length());
    String cut =
        precision >= 0 && precision < n
            ? text.substring(0, text.offsetByCodePoints(0, precision))
            : text;
    return Padding.pad(run, cut, fill, align == 0 || align == '=' ? '<' : align, width);
  }

  private String signed(Run run, boolean negative, String digits) {
    String front = negative ? "-" : sign == '-' ? "" : String.valueOf(sign);
    if (align == '=') {
      return front + Padding.pad(run, digits, fill, '>', width - front.length());
    }
    return Padding.pad(run, front + digits, fill, align == 0 ? '>' : align, width);
  }

  private String integer(long value) {
    String digits =
        switch (type) {
          case 'b' -> (alternate ? "0b" : "") + unsigned(value, 2);
          case 'o' -> (alternate ? "0o" : "") + unsigned(value, 8);
          case 'x' -> (alternate ? "0x" : "") + unsigned(value, 16);
          case 'X' -> ((alternate ? "0x" : "") + unsigned(value, 16)).toUpperCase(Locale.ROOT);
          default -> unsigned(value, 10);
        };
    return grouped ? group(digits) : digits;
  }

  private static String unsigned(long value, int radix) {
    String digits = Long.toString(value, radix);
    return digits.startsWith("-") ? digits.substring(1) : digits;
  }

  private static String group(String number) {
    int point = number.indexOf('.');
    String whole = point < 0 ? number : number.substring(0, point);
    return whole.replaceAll("(?<=\\d)(?=(?:\\d{3})+$)", ",")
        + (point < 0 ? "" : number.substring(point));
  }

  private String floating(double value) {
    double magnitude = Math.abs(value);
    if (Double.isNaN(value) || Double.isInfinite(value)) {
      return Double.isNaN(value) ? "nan" : "inf";
    }
    BigDecimal exact = new BigDecimal(magnitude);
    int digits = precision < 0 ? 6 : precision;
    return switch (type) {
      case 'f', 'F' -> grouped(exact.setScale(digits, RoundingMode.HALF_EVEN).toPlainString());
      case '%' ->
          exact.scaleByPowerOfTen(2).setScale(digits, RoundingMode.HALF_EVEN).toPlainString() + "%";
      case 'e' -> scientific(exact, digits);
      case 'E' -> scientific(exact, digits).toUpperCase(Locale.ROOT);
      default ->
          type == 0 && precision < 0
              ? grouped(Texts.number(magnitude))
              : general(exact, precision < 0 ? 6 : Math.max(1, precision));
    };
  }

  private String grouped(String number) {
    return grouped ? group(number) : number;
  }

  private static String scientific(BigDecimal value, int digits) {
    int exponent = value.signum() == 0 ? 0 : value.precision() - value.scale() - 1;
    BigDecimal mantissa =
        value.scaleByPowerOfTen(-exponent).setScale(digits, RoundingMode.HALF_EVEN);
    if (mantissa.compareTo(BigDecimal.TEN) >= 0) {
      exponent++;
      mantissa = value.scaleByPowerOfTen(-exponent).setScale(digits, RoundingMode.HALF_EVEN);
    }
    return "%se%s%02d"
        .formatted(mantissa.toPlainString(), exponent < 0 ? "-" : "+", Math.abs(exponent));
  }

  private String general(BigDecimal value, int digits) {
    String scientific = scientific(value, digits - 1);
    int mark = scientific.indexOf('e');
    int exponent = Integer.parseInt(scientific.substring(mark + 1));
    if (exponent < -4 || exponent >= digits) {
      return trimmed(scientific.substring(0, mark)) + scientific.substring(mark);
    }
    String fixed =
        trimmed(value.setScale(digits - 1 - exponent, RoundingMode.HALF_EVEN).toPlainString());
    return type == 0 && fixed.indexOf('.') < 0 ? grouped(fixed + ".0") : grouped(fixed);
  }

  private static String trimmed(String number) {
    return number.indexOf('.') < 0 ? number : number.replaceAll("0+$", "").replaceAll("\\.$", "");
  }

  /// The text of one value.
  static Str apply(Run run, Value value, @Nullable String spec) {
    return new Str(
        spec == null || spec.isEmpty() ? Texts.str(run, value) : parse(spec).apply(run, value));
  }
}
