package dev.gatun.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class QuickstartCommandTest {
  @TempDir Path folder;

  @Test
  void takesTheBundledModelFromNothingToNearlyEverything() {
    Path output = folder.resolve("new/folder with space");

    Run run = Run.gatun("quickstart", "--output", output.toString());

    assertThat(run.err()).isEmpty();
    assertThat(run.exitCode()).isZero();
    assertThat(exactMatch("before", run.out())).isLessThanOrEqualTo(1);
    assertThat(exactMatch("after", run.out())).isGreaterThanOrEqualTo(90);
    assertThat(output.resolve("adapter")).isDirectoryContaining("glob:**/adapter_config.json");
    assertThat(run.out()).contains("gatun generate '" + output.resolve("adapter") + "'");
  }

  @Test
  void aFolderInUseIsRefusedAndLeftAlone() throws IOException {
    Files.writeString(folder.resolve("mine.txt"), "precious");

    Run run = Run.gatun("quickstart", "--output", folder.toString());

    assertThat(run.exitCode()).isEqualTo(2);
    assertThat(run.err()).contains(folder.toString(), "not empty").hasLineCount(1);
    assertThat(folder).isDirectoryNotContaining(path -> !path.endsWith("mine.txt"));
  }

  @Test
  void aFolderThatCannotBeMadeIsOneSentence() throws IOException {
    Path file = Files.writeString(folder.resolve("file"), "");

    Run run = Run.gatun("quickstart", "--output", file.resolve("below").toString());

    assertThat(run.exitCode()).isEqualTo(1);
    assertThat(run.err()).startsWith("gatun: ").hasLineCount(1);
  }

  private static double exactMatch(String when, String text) {
    Matcher matcher = Pattern.compile("exact match " + when + ": +([0-9.]+) %").matcher(text);
    assertThat(matcher.find()).as("exact match %s in:%n%s", when, text).isTrue();
    return Double.parseDouble(matcher.group(1));
  }
}
