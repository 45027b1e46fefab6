package dev.gatun.cli;

import dev.gatun.rules.Repository;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/// A folder with a copy of the bundled model, a few rows of data, and a configuration that trains
/// on them for a moment.
record Workspace(Path folder) {
  static final Path BUNDLED =
      Repository.root().resolve("java/src/main/resources/dev/gatun/quickstart");

  static Workspace create(Path folder) throws IOException {
    Workspace workspace = new Workspace(folder);
    Files.createDirectories(workspace.model());
    try (Stream<Path> files = Files.list(BUNDLED.resolve("model"))) {
      for (Path file : files.toList()) {
        Files.copy(file, workspace.model().resolve(file.getFileName()));
      }
    }
    List<String> rows = Files.readAllLines(BUNDLED.resolve("train.jsonl")).subList(0, 8);
    Files.write(workspace.data(), rows);
    Files.writeString(
        workspace.config(),
        """
        model_name_or_path: %s
        dataset_path: %s
        output_dir: %s
        load_in_4bit: true
        lora_r: 4
        lora_target_modules: all-linear
        learning_rate: 1.0e-3
        per_device_train_batch_size: 2
        max_steps: 2
        max_length: 128
        gradient_checkpointing: false
        """
            .formatted(workspace.model(), workspace.data(), workspace.output()));
    return workspace;
  }

  Path model() {
    return folder.resolve("model");
  }

  Path data() {
    return folder.resolve("train.jsonl");
  }

  Path config() {
    return folder.resolve("config.yaml");
  }

  Path output() {
    return folder.resolve("out");
  }

  /// Replaces the third line of the data.
  void setThirdRow(String line) throws IOException {
    List<String> rows = Files.readAllLines(data());
    rows.set(2, line);
    Files.write(data(), rows);
  }

  Run train(String... settings) {
    return run("train", settings);
  }

  Run run(String command, String... settings) {
    Stream<String> overrides = Stream.of(settings).flatMap(setting -> Stream.of("--set", setting));
    return Run.gatun(
        Stream.concat(Stream.of(command, config().toString()), overrides).toArray(String[]::new));
  }
}
