package dev.gatun.rules;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/// Rules about source files that the compiler does not know.
class SourceFilesTest {
  private static final int LINE_LIMIT = 500;

  @Test
  void noHandWrittenSourceFileIsLongerThanTheLimit() throws IOException {
    assertThat(sources().filter(file -> lines(file).size() > LINE_LIMIT))
        .as("files over %d lines: split them by responsibility", LINE_LIMIT)
        .isEmpty();
  }

  @Test
  void noSourceFileLeavesWorkForLater() throws IOException {
    assertThat(
            sources()
                .filter(file -> !file.endsWith("SourceFilesTest.java"))
                .filter(file ->
                    lines(file).stream().anyMatch(l -> l.matches(".*\\b(TODO|FIXME)\\b.*"))))
        .isEmpty();
  }

  @Test
  void everyPackageIsNullMarked() throws IOException {
    Path main = Repository.root().resolve("java/src/main/java");
    try (Stream<Path> files = Files.walk(main)) {
      List<Path> packages =
          files
              .filter(file -> file.toString().endsWith(".java"))
              .map(file -> file.getParent())
              .distinct()
              .toList();
      assertThat(packages)
          .isNotEmpty()
          .allSatisfy(folder ->
              assertThat(folder.resolve("package-info.java")).content().contains("@NullMarked"));
    }
  }

  private static Stream<Path> sources() throws IOException {
    List<Path> found;
    try (Stream<Path> files = Files.walk(Repository.root())) {
      found =
          files
              .filter(file -> file.toString().matches(".*\\.(java|cu|cuh)"))
              .filter(file -> !file.toString().contains("/target/"))
              .filter(file -> !file.toString().contains("/dev/gatun/bindings/"))
              .toList();
    }
    assertThat(found).hasSizeGreaterThan(50);
    return found.stream();
  }

  private static List<String> lines(Path file) {
    try {
      return Files.readAllLines(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
