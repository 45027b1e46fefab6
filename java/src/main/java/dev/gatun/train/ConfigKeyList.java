package dev.gatun.train;

import java.util.ArrayList;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/// Collects configuration keys in the order of the resolved configuration.
final class ConfigKeyList {
  private final List<ConfigKey<?>> keys = new ArrayList<>();

  <T> void key(
      String name,
      ConfigType<T> type,
      BiConsumer<SftConfigBuilder, T> set,
      Function<SftConfig, @Nullable T> get) {
    keys.add(new ConfigKey<>(name, type, false, set, get));
  }

  <T> void nullable(
      String name,
      ConfigType<T> type,
      BiConsumer<SftConfigBuilder, @Nullable T> set,
      Function<SftConfig, @Nullable T> get) {
    keys.add(new ConfigKey<>(name, type, true, set, get));
  }

  List<ConfigKey<?>> all() {
    return List.copyOf(keys);
  }
}
