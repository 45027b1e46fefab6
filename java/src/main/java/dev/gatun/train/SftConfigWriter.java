package dev.gatun.train;

import java.util.LinkedHashMap;
import java.util.Map;
import tools.jackson.dataformat.yaml.YAMLMapper;
import tools.jackson.dataformat.yaml.YAMLWriteFeature;

/// Writes a configuration out in full, so that the run can be repeated from that file alone.
public final class SftConfigWriter {
  private SftConfigWriter() {}

  /// YAML with every key and its value, in a fixed order; [SftConfigReader] reads the same
  /// configuration back.
  public static String toYaml(SftConfig config) {
    Map<String, Object> values = new LinkedHashMap<>();
    for (ConfigKey<?> key : ConfigKeys.ALL) {
      Object value = key.plain(config);
      if (value != null || key.nullable()) {
        values.put(key.name(), value);
      }
    }
    return YAMLMapper.builder()
        .disable(YAMLWriteFeature.WRITE_DOC_START_MARKER)
        .enable(YAMLWriteFeature.MINIMIZE_QUOTES)
        .enable(YAMLWriteFeature.ALWAYS_QUOTE_NUMBERS_AS_STRINGS)
        .build()
        .writeValueAsString(values);
  }
}
