package dev.gatun.train;

import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Amounts of memory as people write them.
public final class MemorySize {
  private static final Pattern TEXT = Pattern.compile("(\\d{1,12}(?:\\.\\d{1,9})?) ?([KMGT]i?B)");
  private static final Map<String, Long> UNITS =
      Map.of(
          "KB",
          1000L,
          "KiB",
          1L << 10,
          "MB",
          1_000_000L,
          "MiB",
          1L << 20,
          "GB",
          1_000_000_000L,
          "GiB",
          1L << 30,
          "TB",
          1_000_000_000_000L,
          "TiB",
          1L << 40);

  private MemorySize() {}

  /// Bytes of `11GB`, `9.5 GiB`, `800 MB`; empty if the text is none of these.
  public static Optional<Long> parse(String text) {
    Matcher matcher = TEXT.matcher(text);
    if (!matcher.matches()) {
      return Optional.empty();
    }
    Long unit = UNITS.get(matcher.group(2));
    double bytes = unit == null ? 0 : Double.parseDouble(matcher.group(1)) * unit;
    return bytes < 1 || bytes > Long.MAX_VALUE / 2.0
        ? Optional.empty()
        : Optional.of(Math.round(bytes));
  }
}
