package dev.gatun.train;

import dev.gatun.train.ConfigValue.Scalar;
import java.util.function.BiConsumer;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/// One configuration key: its name, what it accepts, and where the value lives.
///
/// @param nullable whether `null` is a value (no limit, not set)
/// @param set puts the value into a builder
/// @param get the value of a finished configuration, null if unset
record ConfigKey<T>(
    String name,
    ConfigType<T> type,
    boolean nullable,
    BiConsumer<SftConfigBuilder, @Nullable T> set,
    Function<SftConfig, @Nullable T> get) {

  /// Reads a value into a builder.
  void apply(SftConfigBuilder builder, ConfigValue value) {
    boolean unset = value instanceof Scalar scalar && scalar.value() == null;
    set.accept(builder, nullable && unset ? null : type.read(name, value));
  }

  /// Copies the value of a finished configuration into a builder.
  void copy(SftConfig config, SftConfigBuilder builder) {
    T value = get.apply(config);
    if (value != null || nullable) {
      set.accept(builder, value);
    }
  }

  /// The value as plain scalars, lists and maps.
  @Nullable Object plain(SftConfig config) {
    T value = get.apply(config);
    return value == null ? null : type.toYaml().apply(value);
  }
}
