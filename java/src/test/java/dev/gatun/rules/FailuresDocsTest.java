package dev.gatun.rules;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/// `docs/failures.md` names tests that exist, and says where there is none.
class FailuresDocsTest {
  private static final Pattern NAMED = Pattern.compile("`(\\w+Test)(?:\\.(\\w+))?`");

  private static List<String> rows() throws IOException {
    return Files.readAllLines(Repository.root().resolve("docs/failures.md")).stream()
        .filter(line -> line.startsWith("| "))
        .filter(line -> !line.startsWith("| what users suffer"))
        .toList();
  }

  private static Map<String, String> tests() throws IOException {
    try (Stream<Path> files = Files.walk(Repository.root().resolve("java/src/test/java"))) {
      return files
          .filter(file -> file.toString().endsWith("Test.java"))
          .collect(
              Collectors.toMap(
                  file -> file.getFileName().toString().replace(".java", ""),
                  FailuresDocsTest::read));
    }
  }

  private static String read(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void everyRowNamesATestOrSaysThatThereIsNone() throws IOException {
    assertThat(rows())
        .hasSizeGreaterThan(25)
        .allSatisfy(row -> {
          String last = row.substring(row.lastIndexOf('|', row.length() - 2) + 1);
          assertThat(NAMED.matcher(last).find() || last.contains("not covered")).as(row).isTrue();
        });
  }

  @Test
  void everyNamedTestExists() throws IOException {
    Map<String, String> tests = tests();
    for (String row : rows()) {
      Matcher named = NAMED.matcher(row);
      while (named.find()) {
        assertThat(tests).as(row).containsKey(named.group(1));
        String method = named.group(2);
        if (method != null) {
          assertThat(tests.get(named.group(1)))
              .as(named.group())
              .containsPattern("void " + method + "\\(");
        }
      }
    }
  }
}
