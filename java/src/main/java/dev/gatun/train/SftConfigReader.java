package dev.gatun.train;

import dev.gatun.InputException;
import dev.gatun.train.ConfigValue.Entry;
import dev.gatun.train.ConfigValue.Location;
import dev.gatun.train.ConfigValue.Mapping;
import dev.gatun.train.ConfigValue.Scalar;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/// Reads an [SftConfig] from YAML or JSON. Keys stand at the top; a section `lora` (or
/// `peft_config`) may hold PEFT's under PEFT's names. An unknown key, a wrong type, a value out of
/// range and a duplicate are each refused with file, line and column.
public final class SftConfigReader {
  private static final List<String> LORA_SECTIONS = List.of("lora", "peft", "peft_config");

  private final List<String> notices = new ArrayList<>();
  private final Map<String, Setting> settings = new LinkedHashMap<>();
  private @Nullable Entry preset;

  private SftConfigReader() {}

  /// A configuration and what its reader wants to be known.
  ///
  /// @param notices one sentence each: keys under older names, keys without effect
  public record Loaded(SftConfig config, List<String> notices) {
    public Loaded {
      notices = List.copyOf(notices);
    }
  }

  /// A value for a key of ours.
  ///
  /// @param writtenAs the name it was given under
  private record Setting(String writtenAs, Location where, ConfigValue value) {}

  /// Reads a file.
  ///
  /// @param overrides `key=value` each, the value in YAML; they win over the file
  /// @throws InputException naming file, line, column and key
  public static Loaded read(Path file, List<String> overrides) {
    return new SftConfigReader().read(ConfigParser.parse(file), overrides);
  }

  /// Reads a text, which messages call `source`.
  public static Loaded parse(String source, String text, List<String> overrides) {
    return new SftConfigReader().read(ConfigParser.parse(source, text), overrides);
  }

  private Loaded read(Mapping file, List<String> overrides) {
    collect(file, false);
    for (String override : overrides) {
      override(override);
    }
    preset();
    SftConfigBuilder builder = SftConfig.builder();
    for (ConfigKey<?> key : ConfigKeys.ALL) {
      Setting setting = settings.get(key.name());
      if (setting != null) {
        key.apply(builder, setting.value());
      }
    }
    try {
      SftConfig config = builder.build();
      return new Loaded(config, notices);
    } catch (InputException e) {
      throw new InputException(file.location().source() + ": " + e.getMessage(), e);
    }
  }

  /// Lays the preset, if one is named, under the keys that are set.
  private void preset() {
    if (preset == null) {
      return;
    }
    Map<String, Setting> chosen = Map.copyOf(settings);
    Presets.named(preset.value())
        .entries()
        .forEach((key, entry) ->
            settings.putIfAbsent(key, new Setting(key, entry.key(), entry.value())));
    Setting adapter = settings.get("use_peft");
    boolean trainsEveryWeight =
        adapter != null && !ConfigType.bool().read("use_peft", adapter.value());
    if (trainsEveryWeight && !chosen.containsKey("use_peft")) {
      AdapterKeys.names().stream()
          .map(chosen::get)
          .filter(Objects::nonNull)
          .findFirst()
          .ifPresent(SftConfigReader::refuseWithoutAdapter);
    }
  }

  private static void refuseWithoutAdapter(Setting setting) {
    throw new InputException(
        "%s: this preset trains every weight, so %s would do nothing; set use_peft: true"
            .formatted(setting.where(), setting.writtenAs()));
  }

  private void override(String override) {
    int equals = override.indexOf('=');
    if (equals < 1) {
      throw new InputException("--set takes key=value, not '" + override + "'");
    }
    String key = override.substring(0, equals).strip();
    for (String section : LORA_SECTIONS) {
      key = key.startsWith(section + ".") ? key.substring(section.length() + 1) : key;
    }
    String source = "--set " + key;
    ConfigValue value = ConfigParser.parseValue(source, override.substring(equals + 1));
    put(key, new Entry(new Location(source, 0, 0), value), true);
  }

  private void collect(Mapping mapping, boolean inLora) {
    mapping
        .entries()
        .forEach((key, entry) -> {
          if (!inLora && LORA_SECTIONS.contains(key)) {
            section(key, entry);
          } else {
            put(key, entry, false);
          }
        });
  }

  private void section(String key, Entry entry) {
    if (entry.value() instanceof Mapping mapping) {
      collect(mapping, true);
    } else if (!(entry.value() instanceof Scalar scalar && scalar.value() == null)) {
      throw new InputException(
          "%s: %s must be a section of PEFT's keys, not %s"
              .formatted(entry.value().location(), key, entry.value().describe()));
    }
  }

  private void put(String written, Entry entry, boolean replace) {
    if (written.equals(Presets.KEY)) {
      preset = entry;
      return;
    }
    String key = ForeignKeys.ALIASES.getOrDefault(written, written);
    if (ConfigKeys.ALL.stream().noneMatch(known -> known.name().equals(key))) {
      foreign(written, entry);
      return;
    }
    if (!key.equals(written)) {
      alias(written, key, entry);
    }
    Setting previous = settings.get(key);
    if (previous != null && !replace) {
      throw new InputException(
          "%s: %s is already set%s in line %d; remove one"
              .formatted(
                  entry.key(),
                  written,
                  previous.writtenAs().equals(written) ? "" : " as " + previous.writtenAs(),
                  previous.where().line()));
    }
    settings.put(key, new Setting(written, entry.key(), entry.value()));
  }

  private void alias(String written, String key, Entry entry) {
    if (written.equals("warmup_ratio")) {
      // A ratio of 1 would read as one step.
      ConfigType.number(0, 1).read(written, entry.value());
    }
    if (!ForeignKeys.SILENT_ALIASES.contains(written)) {
      notices.add("%s: %s is read as %s".formatted(entry.key(), written, key));
    }
  }

  private void foreign(String key, Entry entry) {
    String reason = ForeignKeys.IGNORED.get(key);
    if (reason != null) {
      notices.add("%s: %s has no effect: %s".formatted(entry.key(), key, reason));
      return;
    }
    ForeignKeys.Refused refused = ForeignKeys.REFUSED.get(key);
    if (refused == null) {
      throw unknown(key, entry.key());
    }
    Object value = entry.value().plain();
    if (value != null && !refused.harmless().contains(value)) {
      throw new InputException(
          "%s: %s is not supported with %s: %s"
              .formatted(entry.key(), key, entry.value().describe(), refused.advice()));
    }
  }

  private static InputException unknown(String key, Location where) {
    String hint =
        NearestName.plausible(key, ForeignKeys.known())
            .map(name -> "did you mean '" + name + "'?")
            .orElse("docs/configuration.md lists the keys");
    return new InputException("%s: unknown key '%s'; %s".formatted(where, key, hint));
  }
}
