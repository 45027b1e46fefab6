package dev.gatun.rules;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.cli.Gatun;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

/// The documents say what is so.
class ReadmeTest {
  private static final Path ROOT = Repository.root();

  /// What the names of files in documents may be relative to.
  private static final List<Path> PLACES =
      List.of(
          ROOT,
          ROOT.resolve("benchmarks/src/test/java/dev/gatun/bench"),
          ROOT.resolve("java/src/main/java/dev/gatun"),
          ROOT.resolve("java/src/test/java/dev/gatun"));

  @Test
  void quotesTheJavaExampleThatIsCompiledAndRun() throws IOException {
    Path file = ROOT.resolve("java/src/test/java/dev/gatun/examples/EmbeddingExample.java");
    String code = Files.readString(file);
    String method =
        code.substring(code.indexOf("  static Path tune("), code.lastIndexOf("}\n"))
            .lines()
            .map(line -> line.replaceFirst("^  ", ""))
            .reduce("", (all, line) -> all + line + "\n");

    assertThat(method).contains("SftTrainer");
    assertThat(readme()).contains("```java\n" + method + "```");
  }

  @Test
  void quotesTheKernelExampleThatTheTestBesideJCudaRuns() throws IOException {
    Path folder = ROOT.resolve("benchmarks/src/test/java/dev/gatun/bench");
    String code = Files.readString(folder.resolve("KernelsExample.java"));
    String method =
        code.substring(code.indexOf("  static void project("), code.indexOf("  record Sizes("))
            .strip()
            .lines()
            .map(line -> line.replaceFirst("^  ", ""))
            .reduce("", (all, line) -> all + line + "\n");

    assertThat(folder.resolve("JCudaKernelsTest.java"))
        .content()
        .contains("KernelsExample.project(");
    assertThat(readme()).contains("```java\n" + method + "```");
  }

  @Test
  void namesEveryCommandAndNoOther() throws IOException {
    List<String> named =
        Pattern.compile("(?m)^\\./gatun ([\\w-]+)")
            .matcher(readme())
            .results()
            .map(match -> match.group(1))
            .distinct()
            .toList();

    assertThat(new CommandLine(new Gatun()).getSubcommands().keySet())
        .containsExactlyInAnyOrderElementsOf(named);
  }

  @Test
  void theTestCommandIsTheOneThatIsRunForEveryChange() throws IOException {
    assertThat(readme()).contains("```sh\n./mvnw -B verify\n```");
    assertThat(ROOT.resolve(".ci/run")).content().contains("./mvnw -B verify").isNotBlank();
  }

  @Test
  void everyFileThatADocumentNamesExists() throws IOException {
    for (String document :
        List.of(
            "README.md",
            "CONTRIBUTING.md",
            "docs/architecture.md",
            "docs/formats.md",
            "docs/gpu.md")) {
      List<String> names =
          Pattern.compile("`(\\.?\\w[\\w./-]*\\.(?:java|md|sh|yaml|cu))`")
              .matcher(Files.readString(ROOT.resolve(document)))
              .results()
              .map(match -> match.group(1))
              .filter(name -> !name.toLowerCase(Locale.ROOT).contains("foo"))
              .filter(name -> !name.equals("config.yaml"))
              .toList();
      assertThat(names)
          .as(document)
          .isNotEmpty()
          .allSatisfy(name -> assertThat(PLACES).anyMatch(p -> Files.exists(p.resolve(name))));
    }
  }

  private static String readme() throws IOException {
    return Files.readString(ROOT.resolve("README.md"));
  }
}
