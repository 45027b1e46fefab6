package dev.gatun.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class PlanCommandTest {
  @TempDir private Path folder;
  private Workspace workspace = new Workspace(Path.of(""));

  @BeforeEach
  void createWorkspace() throws IOException {
    workspace = Workspace.create(folder);
  }

  private Run plan(String... options) {
    String[] arguments = new String[2 + options.length];
    arguments[0] = "plan";
    arguments[1] = workspace.config().toString();
    System.arraycopy(options, 0, arguments, 2, options.length);
    return Run.gatun(arguments);
  }

  @Test
  void showsTheTableThatTheRunThenShowsAndWritesNothing() {
    Run plan = plan("--tokens-per-second", "10");

    assertThat(plan.err()).isEmpty();
    assertThat(plan.exitCode()).isZero();
    assertThat(workspace.output()).doesNotExist();
    String out = plan.out();
    String table = out.substring(out.indexOf("Memory plan"), out.indexOf("  total"));
    Run run = workspace.train();
    assertThat(run.out()).contains(table);
    assertThat(out)
        .containsPattern("trained parameters +[\\d,]+\n")
        .containsPattern("updates +2, 4 an epoch, on 8 rows\n")
        .containsPattern("time +0:\\d\\d \\(10 tokens/s, at --tokens-per-second\\)")
        .containsPattern("gradient_checkpointing: false +[\\d,]+ tokens");
  }

  @Test
  void answersToHeldOutQuestionsTakeTheMemoryThatThePlanSays() {
    String[] settings = {
      "eval_dataset_path=" + workspace.data(),
      "eval_generation_samples=3",
      "eval_generation_max_new_tokens=20"
    };

    Run plan = workspace.run("plan", settings);

    assertThat(plan.err()).isEmpty();
    String out = plan.out();
    assertThat(out)
        .containsPattern("kv-cache +[\\d.]+ [KM]iB  3 answers at a time, \\d+ tokens each");
    String table = out.substring(out.indexOf("Memory plan"), out.indexOf("  total"));
    assertThat(workspace.run("train", settings).out()).contains(table);
  }

  @Test
  void theSameAsJson() {
    Run plan = plan("--json", "--memory", "40MB", "--set", "gradient_checkpointing=auto");

    assertThat(plan.err()).isEmpty();
    JsonNode json = JsonMapper.shared().readTree(plan.out());
    long sum = 0;
    for (JsonNode bytes : json.get("arena_bytes").values()) {
      sum += bytes.asLong();
    }
    assertThat(json.get("total_bytes").asLong()).isEqualTo(sum).isLessThan(40_000_000);
    assertThat(json.get("budget_bytes").asLong()).isEqualTo(40_000_000);
    assertThat(json.get("fits").asBoolean()).isTrue();
    assertThat(json.get("updates").asInt()).isEqualTo(2);
    assertThat(json.has("seconds")).isFalse();
    assertThat(json.get("longest_row").size()).isEqualTo(3);
  }

  @Test
  void aRunThatWillNotFitIsSaidToBeSo() {
    Run plan = plan("--memory", "1MB");

    assertThat(plan.exitCode()).isZero();
    assertThat(plan.out())
        .contains("does not fit: train would refuse it", "notice: sizes are those of the CPU")
        .containsPattern("gradient_checkpointing: true +0 tokens");
  }

  @ParameterizedTest
  @CsvSource({
    "--memory, much, '--memory takes an amount such as 80GB or 9.5GiB, not much'",
    "--tokens-per-second, 0, '--tokens-per-second takes a number above 0, not 0.0'",
    "--tokens-per-second, NaN, '--tokens-per-second takes a number above 0, not NaN'"
  })
  void wrongOptionsAreOneSentence(String option, String value, String message) {
    Run plan = plan(option, value);

    assertThat(plan.exitCode()).isEqualTo(2);
    assertThat(plan.err()).isEqualTo("gatun: " + message + System.lineSeparator());
  }
}
