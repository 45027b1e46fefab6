package dev.gatun.train;

import dev.gatun.InputException;

/// Builds an [SftConfig]. One method for each configuration key, named like it in camel case and
/// starting from the same default; `docs/configuration.md` says what each means.
public final class SftConfigBuilder extends AdapterSettings {
  SftConfigBuilder() {}

  SftConfigBuilder(SftConfig config) {
    for (ConfigKey<?> key : ConfigKeys.ALL) {
      key.copy(config, this);
    }
  }

  @Override
  SftConfigBuilder self() {
    return this;
  }

  /// Checks everything and builds the configuration.
  ///
  /// @throws InputException naming the key that is missing, out of range or at odds with another
  public SftConfig build() {
    SftConfig config =
        new SftConfig(model(), data(), optimization(), loop(), evaluation(), output(), lora());
    SftConfigRules.check(config);
    return config;
  }
}
