package dev.gatun.train;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.rules.Repository;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

/// `docs/configuration.md` is complete, and its example is a configuration.
class ConfigurationDocsTest {
  private static String text() throws IOException {
    return Files.readString(Path.of(Repository.root().toString(), "docs", "configuration.md"));
  }

  @Test
  void everyKeyAndEveryOlderNameIsThere() throws IOException {
    String text = text();

    assertThat(ConfigKeys.ALL)
        .extracting(ConfigKey::name)
        .allSatisfy(key -> assertThat(text).contains("`" + key + "`"));
    assertThat(ForeignKeys.ALIASES.keySet())
        .allSatisfy(key -> assertThat(text).contains("`" + key + "`"));
  }

  @Test
  void theExampleIsRead() throws IOException {
    String text = text();
    int start = text.indexOf("```yaml\n") + "```yaml\n".length();
    String yaml = text.substring(start, text.indexOf("```", start));

    assertThat(SftConfigReader.parse("example", yaml, List.of()).notices()).isEmpty();
  }
}
