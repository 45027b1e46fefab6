package dev.gatun.data;

import dev.gatun.InputException;
import java.util.Locale;

/// What happens to a row of more tokens than `max_length`.
public enum OverlongPolicy {
  /// Preparation fails and names the rows.
  ERROR,
  /// The end is cut off, as TRL does, and reported.
  TRUNCATE,
  /// The row is left out, and reported.
  DROP;

  /// The policy of a configuration value: `error`, `truncate` or `drop`.
  public static OverlongPolicy parse(String name) {
    for (OverlongPolicy policy : values()) {
      if (policy.configName().equals(name)) {
        return policy;
      }
    }
    throw new InputException(
        "The policy for over-long rows must be error, truncate or drop, not `" + name + "`.");
  }

  /// The configuration value.
  public String configName() {
    return name().toLowerCase(Locale.ROOT);
  }
}
