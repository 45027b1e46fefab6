package dev.gatun.cli;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Exit codes and messages that every command shares.
class CommandLineTest {
  @Test
  void helpNamesTheCommands() {
    Run run = Run.gatun("--help");

    assertThat(run.exitCode()).isZero();
    assertThat(run.out()).contains("doctor", "conformance");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"quickstart", "train", "generate", "preview", "inspect", "doctor", "conformance"})
  void everyCommandExplainsItself(String command) {
    Run run = Run.gatun(command, "--help");

    assertThat(run.err()).isEmpty();
    assertThat(run.exitCode()).isZero();
    assertThat(run.out()).startsWith("Usage: gatun " + command);
  }

  @Test
  void anUnknownCommandIsWrongUsageWithASuggestion() {
    Run run = Run.gatun("docter");

    assertThat(run.exitCode()).isEqualTo(2);
    assertThat(run.err()).startsWith("gatun: ").contains("doctor");
  }

  @Test
  void aMissingParameterIsWrongUsage() {
    Run run = Run.gatun("conformance");

    assertThat(run.exitCode()).isEqualTo(2);
    assertThat(run.err()).startsWith("gatun: Missing required parameter: 'DIR'");
  }

  @Test
  void anUnknownConformancePartIsRefusedAndTheKnownOnesAreNamed() {
    Run run = Run.gatun("conformance", ".", "--part", "modles");

    assertThat(run.exitCode()).isEqualTo(2);
    assertThat(run.err()).startsWith("gatun: There is no conformance part 'modles'");
  }

  @Test
  void doctorReportsWhatItFoundAndWhatIsMissing() {
    Run run = Run.gatun("doctor");

    assertThat(run.exitCode()).isZero();
    assertThat(run.out())
        .contains("JDK", "CPU", "memory")
        .containsPattern("(?m)^(ok|missing) +GPU");
  }
}
