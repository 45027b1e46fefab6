package dev.gatun.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/// A training process that is killed at random instants, and resumed each time, ends with the bytes
/// of one that was left alone.
@DisabledOnOs(value = OS.WINDOWS, disabledReason = "sends POSIX signals")
class KillTest {
  private static final long SEED = 20260101;

  @TempDir private Path folder;

  @Test
  void threeKills() throws Exception {
    kills(3, 6);
  }

  @Test
  @Tag("slow")
  void twentyKills() throws Exception {
    kills(20, 40);
  }

  /// Kills one run again and again, each time it is resumed, at an instant drawn over the time that
  /// the rest of it would take.
  private void kills(int count, int steps) throws Exception {
    Workspace workspace = Workspace.create(folder);
    Path whole = folder.resolve("whole");
    long start = System.nanoTime();
    assertThat(start(workspace, whole, steps).waitFor()).isZero();
    long fastestMillis = millisSince(start);

    Random random = new Random(SEED);
    Path output = folder.resolve("killed");
    int killed = 0;
    int runs = 0;
    while (killed < count) {
      assertThat(runs).as("runs, of which %d were killed", killed).isLessThan(8 * count);
      start = System.nanoTime();
      Process process = start(workspace, output, steps);
      long delay = (long) (fastestMillis * (0.2 + 0.75 * random.nextDouble()));
      if (!process.waitFor(delay, TimeUnit.MILLISECONDS)) {
        process.destroyForcibly();
        // 128 + 9: the signal ended it, not its own last line a moment before.
        killed += process.waitFor() == 137 ? 1 : 0;
      } else {
        // It was over before the kill. The next run begins again.
        assertThat(process.exitValue()).isZero();
        fastestMillis = Math.min(fastestMillis, millisSince(start));
        compare(output, whole);
        output = folder.resolve("killed-" + runs);
      }
      runs++;
    }
    assertThat(start(workspace, output, steps).waitFor()).isZero();
    compare(output, whole);
  }

  private static long millisSince(long start) {
    return TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
  }

  private static void compare(Path output, Path whole) throws IOException {
    for (String name : List.of("adapter_model.safetensors", "adapter_config.json")) {
      assertThat(output.resolve(name)).hasSameBinaryContentAs(whole.resolve(name));
    }
    assertThat(losses(output)).isEqualTo(losses(whole));
    try (Stream<Path> files = Files.list(output)) {
      assertThat(files.map(file -> file.getFileName().toString()))
          .noneMatch(name -> name.endsWith(".tmp"));
    }
  }

  /// The lines of the metrics without the speed, which comes last.
  private static List<String> losses(Path output) throws IOException {
    return Files.readAllLines(output.resolve("metrics.jsonl")).stream()
        .map(line -> line.replaceFirst(",\"tokens_per_second\".*", ""))
        .toList();
  }

  private Process start(Workspace workspace, Path output, int steps) throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(
        List.of(
            "--enable-native-access=ALL-UNNAMED",
            "--add-opens=java.base/java.nio=ALL-UNNAMED",
            "-Xmx512m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
            Gatun.class.getName(),
            "train",
            workspace.config().toString(),
            "--resume"));
    for (String setting :
        List.of(
            "output_dir=" + output,
            "max_steps=" + steps,
            "lora_dropout=0.1",
            "optim=adamw_8bit",
            "device=cpu",
            "save_steps=1",
            "save_total_limit=2")) {
      command.add("--set");
      command.add(setting);
    }
    return new ProcessBuilder(command)
        .redirectErrorStream(true)
        .redirectOutput(ProcessBuilder.Redirect.appendTo(folder.resolve("log.txt").toFile()))
        .start();
  }
}
