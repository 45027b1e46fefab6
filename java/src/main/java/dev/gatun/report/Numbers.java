package dev.gatun.report;

import java.math.BigDecimal;
import java.math.MathContext;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/// Numbers as people read them, and the round ones of an axis.
final class Numbers {
  private Numbers() {}

  /// Four significant digits: `0.004912`, `12.3k`, `1.234e-05`.
  static String brief(double value) {
    double size = Math.abs(value);
    if (size >= 1e9) {
      return digits(value / 1e9) + "B";
    }
    if (size >= 1e6) {
      return digits(value / 1e6) + "M";
    }
    if (size >= 1e4) {
      return digits(value / 1e3) + "k";
    }
    return size != 0 && size < 1e-3
        ? String.format(Locale.ROOT, "%.3e", value).replaceFirst("\\.?0+e", "e")
        : digits(value);
  }

  private static String digits(double value) {
    return value == 0
        ? "0"
        : new BigDecimal(value).round(new MathContext(4)).stripTrailingZeros().toPlainString();
  }

  /// `1.50 GiB`.
  static String bytes(double bytes) {
    if (bytes >= 1L << 30) {
      return String.format(Locale.ROOT, "%.2f GiB", bytes / (1L << 30));
    }
    return bytes >= 1L << 20
        ? String.format(Locale.ROOT, "%.1f MiB", bytes / (1L << 20))
        : String.format(Locale.ROOT, "%.1f KiB", bytes / (1L << 10));
  }

  /// Multiples of 1, 2 or 5 times a power of ten within `[low, high]`, about `count` of them.
  static List<Double> ticks(double low, double high, int count) {
    double raw = (high - low) / count;
    double power = Math.pow(10, Math.floor(Math.log10(raw)));
    double step = power * (raw / power <= 1 ? 1 : raw / power <= 2 ? 2 : raw / power <= 5 ? 5 : 10);
    List<Double> ticks = new ArrayList<>();
    for (long i = (long) Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) {
      ticks.add(i * step);
    }
    return ticks;
  }
}
