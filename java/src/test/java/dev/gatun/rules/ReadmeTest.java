package dev.gatun.rules;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.cli.Gatun;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

/// The documents say what is so.
class ReadmeTest {
  private static final Path ROOT = Repository.root();

  @Test
  void quotesTheJavaExampleThatIsCompiledAndRun() throws IOException {
    Path file =
        ROOT.resolve("java/src/test/java/dev/gatun/examples/EmbeddingExample.java");
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
  void namesEveryCommandAndNoOther() throws IOException {
    List<String> named =
        Pattern.compile("(?m)^\\./gatun (\\w+)")
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
    for (String document : List.of("README.md", "CONTRIBUTING.md", "docs/architecture.md")) {
      List<String> names =
          Pattern.compile("`((?:docs|java|bindings|native|benchmarks)/[\\w./-]+\\.\\w+|[A-Z]+\\.md)`")
              .matcher(Files.readString(ROOT.resolve(document)))
              .results()
              .map((MatchResult match) -> match.group(1))
              .filter(name -> !name.contains("/target/"))
              .toList();
      assertThat(names)
          .as(document)
          .isNotEmpty()
          .allSatisfy(name -> assertThat(ROOT.resolve(name)).exists());
    }
  }

  private static String readme() throws IOException {
    return Files.readString(ROOT.resolve("README.md"));
  }
}
