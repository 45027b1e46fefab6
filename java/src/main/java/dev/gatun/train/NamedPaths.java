package dev.gatun.train;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/// Datasets by names that figures can have, each of one file or several. One without a name stands
/// under the empty one.
final class NamedPaths {
  private static final String NAME = "[\\w.-]+";
  private static final ConfigType<List<Path>> PATHS = ConfigType.paths();
  private static final ConfigType<Map<String, List<Path>>> BY_NAME = ConfigType.map(PATHS);

  private NamedPaths() {}

  /// A path or a list of paths, or a section of those.
  static ConfigType<SequencedMap<String, List<Path>>> type() {
    return new ConfigType<>(
        "a path, a list of paths, or a section of those by names of letters, digits, '_', '-' and '.'",
        NamedPaths::read,
        NamedPaths::plain);
  }

  private static @Nullable SequencedMap<String, List<Path>> read(ConfigValue value) {
    List<Path> list = PATHS.convert().apply(value);
    if (list != null) {
      return list.isEmpty() ? new LinkedHashMap<>() : new LinkedHashMap<>(Map.of("", list));
    }
    Map<String, List<Path>> named = BY_NAME.convert().apply(value);
    return named == null
            || named.containsValue(List.<Path>of())
            || !named.keySet().stream().allMatch(name -> name.matches(NAME))
        ? null
        : new LinkedHashMap<>(named);
  }

  private static @Nullable Object plain(SequencedMap<String, List<Path>> datasets) {
    if (datasets.isEmpty()) {
      return List.of();
    }
    List<Path> unnamed = datasets.get("");
    if (unnamed != null && datasets.size() == 1) {
      return PATHS.toYaml().apply(unnamed);
    }
    Map<String, @Nullable Object> plain = new LinkedHashMap<>();
    datasets.forEach((name, paths) -> plain.put(name, PATHS.toYaml().apply(paths)));
    return plain;
  }
}
