package dev.gatun.train;

import java.util.List;

/// Every key that changes a run, in the order of the resolved configuration.
final class ConfigKeys {
  static final List<ConfigKey<?>> ALL = build();

  private ConfigKeys() {}

  private static List<ConfigKey<?>> build() {
    ConfigKeyList keys = new ConfigKeyList();
    DataKeys.addTo(keys);
    TrainingKeys.addTo(keys);
    RunKeys.addTo(keys);
    AdapterKeys.addTo(keys);
    return keys.all();
  }
}
