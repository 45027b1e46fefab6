package dev.gatun.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.io.AdapterFiles;
import dev.gatun.io.JsonObject;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// A signal during training ends the run after the update under way and leaves its adapter.
@DisabledOnOs(value = OS.WINDOWS, disabledReason = "sends POSIX signals")
class InterruptTest {
  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"INT", "TERM"})
  @Timeout(value = 120, unit = TimeUnit.SECONDS)
  void leavesTheAdapterOfTheLastFinishedUpdate(String signal) throws Exception {
    Workspace workspace = Workspace.create(folder);
    Process process = start(workspace);
    try (BufferedReader output = process.inputReader()) {
      List<String> seen = readUntil(output, "step 3/");
      new ProcessBuilder("kill", "-" + signal, Long.toString(process.pid())).start().waitFor();
      output.lines().forEach(seen::add);

      assertThat(process.waitFor()).as("exit code after%n%s", seen).isEqualTo(130);
      assertThat(seen).anyMatch(line -> line.startsWith("stopped after step"));
    } finally {
      process.destroyForcibly();
    }

    assertThat(AdapterFiles.read(workspace.output()).modules()).isNotEmpty();
    JsonObject state = JsonObject.read(workspace.output().resolve("trainer_state.json"));
    assertThat(state.integer("global_step", 0, 100_000)).isBetween(3, 99_999);
    try (Stream<Path> files = Files.walk(workspace.output())) {
      assertThat(files).noneMatch(file -> file.toString().contains(".tmp"));
    }
  }

  private static Process start(Workspace workspace) throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(
        List.of(
            "--enable-native-access=ALL-UNNAMED",
            "--add-opens=java.base/java.nio=ALL-UNNAMED",
            "-Xmx512m",
            "-cp",
            System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
            Gatun.class.getName(),
            "train",
            workspace.config().toString(),
            "--set",
            "max_steps=100000",
            "--set",
            "logging_steps=1"));
    return new ProcessBuilder(command).redirectErrorStream(true).start();
  }

  private static List<String> readUntil(BufferedReader output, String text) throws IOException {
    List<String> seen = new ArrayList<>();
    for (String line = output.readLine(); line != null; line = output.readLine()) {
      seen.add(line);
      if (line.startsWith(text)) {
        return seen;
      }
    }
    throw new AssertionError("the process ended early: " + String.join("\n", seen));
  }
}
