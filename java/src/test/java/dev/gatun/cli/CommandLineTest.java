package dev.gatun.cli;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/// Exit codes and messages that every command shares.
class CommandLineTest {
  @Test
  void helpNamesTheCommands() {
    Run run = Run.gatun("--help");

    assertThat(run.exitCode()).isZero();
    assertThat(run.out()).contains("doctor", "conformance");
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
