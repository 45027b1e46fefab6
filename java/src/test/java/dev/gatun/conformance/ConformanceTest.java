package dev.gatun.conformance;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;
import static org.junit.jupiter.api.DynamicContainer.dynamicContainer;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import dev.gatun.cpu.CpuBackend;
import dev.gatun.op.Backend;
import dev.gatun.rules.Repository;
import java.net.URISyntaxException;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.DynamicNode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.opentest4j.TestAbortedException;

/// The conformance kit as tests: one for each case. Set `-Dgatun.conformance=DIR` to run another
/// kit of the same layout.
class ConformanceTest {
  private static final Backend backend = CpuBackend.create();

  @AfterAll
  static void closeBackend() {
    backend.close();
  }

  @TestFactory
  Stream<DynamicNode> kit() throws URISyntaxException {
    Path kit = root();
    return ConformanceRunner.parts().stream()
        .map(part ->
            dynamicContainer(
                part.name(),
                part.cases(kit).stream()
                    .map(single -> dynamicTest(single.name(), () -> check(part, single)))));
  }

  @Test
  void theChosenKitHoldsCases() throws URISyntaxException {
    Path kit = root();

    assertThat(ConformanceRunner.parts())
        .as("parts with cases in %s", kit)
        .anyMatch(part -> !part.cases(kit).isEmpty());
  }

  /// The kit named by the system property, else one that lies beside the checkout, else the subset
  /// among the test resources.
  static Path root() throws URISyntaxException {
    String chosen = System.getProperty("gatun.conformance", "");
    if (!chosen.isBlank()) {
      Path kit = Path.of(chosen);
      assertThat(kit).as("gatun.conformance").isDirectory();
      return kit;
    }
    for (String beside : List.of("../shared/conformance", "../../shared/conformance")) {
      Path kit = Repository.root().resolve(beside).normalize();
      if (Files.isDirectory(kit)) {
        return kit;
      }
    }
    return subset();
  }

  /// The subset among the test resources.
  static Path subset() throws URISyntaxException {
    URL folder = requireNonNull(ConformanceTest.class.getResource("/conformance"));
    return Path.of(folder.toURI());
  }

  private static void check(Part part, Part.Case single) {
    ConformanceRunner.Outcome outcome = ConformanceRunner.run(part, single, new Engine(backend));
    List<Checks.Figure> deciding =
        outcome.figures().stream().filter(f -> f.verdict() == outcome.verdict()).toList();
    switch (outcome.verdict()) {
      case PASSED -> {}
      case NOT_SUPPORTED ->
          throw new TestAbortedException(
              "not supported: "
                  + deciding.stream().map(Checks.Figure::figure).collect(Collectors.joining("; ")));
      case FAILED ->
          fail(
              deciding.stream()
                  .map(f -> f.figure() + ": " + f.value() + " (tolerance " + f.tolerance() + ")")
                  .collect(Collectors.joining("; ", part.name() + "/" + single.name() + ": ", "")));
    }
  }
}
