package dev.gatun.cli;

import dev.gatun.train.SftConfigReader;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// The configuration of a run on the command line, for every command that reads one.
class ConfigOptions {
  @Parameters(
      paramLabel = "CONFIG",
      description =
          "The configuration of a training run: YAML with TRL's and PEFT's keys, which"
              + " docs/configuration.md lists.")
  private Path file;

  @Option(
      names = "--set",
      paramLabel = "KEY=VALUE",
      description = "Overrides a key of the configuration; repeatable.")
  private List<String> overrides = List.of();

  /// Reads the file.
  ///
  /// @param more overrides of the command's own
  /// @throws dev.gatun.InputException naming what is wrong in it
  SftConfigReader.Loaded read(String... more) {
    List<String> settings = new ArrayList<>(overrides);
    settings.addAll(List.of(more));
    return SftConfigReader.read(file, settings);
  }

  /// For commands that compute.
  static final class WithDevice extends ConfigOptions {
    @Option(
        names = "--device",
        paramLabel = "DEVICE",
        description = "Short for --set device=DEVICE.")
    private @Nullable String device;

    @Override
    SftConfigReader.Loaded read(String... more) {
      List<String> settings = new ArrayList<>(List.of(more));
      if (device != null) {
        settings.addFirst("device=" + device);
      }
      return super.read(settings.toArray(String[]::new));
    }
  }
}
