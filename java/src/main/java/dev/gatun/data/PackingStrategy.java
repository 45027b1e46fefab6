package dev.gatun.data;

import dev.gatun.InputException;
import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;

/// TRL's `packing_strategy`.
public enum PackingStrategy {
  /// Best fit decreasing; what exceeds the size of a packed row is cut off.
  BFD,
  /// Best fit decreasing; an over-long row becomes several sequences, no token is lost.
  BFD_SPLIT,
  /// Everything is joined and cut to equal rows: samples are split and see each other.
  WRAPPED;

  /// The strategy of a configuration value: `bfd`, `bfd_split` (also `bfd-requeue`) or `wrapped`.
  public static PackingStrategy parse(String name) {
    if (name.equals("bfd-requeue")) {
      return BFD_SPLIT;
    }
    return Arrays.stream(values())
        .filter(strategy -> strategy.configName().equals(name))
        .findFirst()
        .orElseThrow(() ->
            new InputException(
                "packing_strategy `%s` is unknown; use one of %s."
                    .formatted(
                        name,
                        Arrays.stream(values())
                            .map(PackingStrategy::configName)
                            .collect(Collectors.joining(", ")))));
  }

  /// The configuration value.
  public String configName() {
    return name().toLowerCase(Locale.ROOT);
  }
}
