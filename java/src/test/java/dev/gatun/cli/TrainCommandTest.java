package dev.gatun.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TrainCommandTest {
  @TempDir Path folder;
  private Workspace workspace = new Workspace(Path.of(""));

  @BeforeEach
  void createWorkspace() throws IOException {
    workspace = Workspace.create(folder);
  }

  @Test
  void aRunShowsItsProgressAndLeavesAnAdapterThatGenerates() {
    Run run = workspace.train();

    assertThat(run.err()).isEmpty();
    assertThat(run.exitCode()).isZero();
    assertThat(run.out())
        .contains("device: CPU", "Memory plan", "the end of text in 100.0 % of the rows")
        .containsPattern("(?m)^step 2/2 +loss \\d\\.\\d{4}.*tokens/s +ETA 0:00$")
        .contains(workspace.output().toString());
    assertThat(workspace.output())
        .isDirectoryContaining("glob:**/adapter_config.json")
        .isDirectoryContaining("glob:**/adapter_model.safetensors")
        .isDirectoryContaining("glob:**/trainer_state.json")
        .isDirectoryContaining("glob:**/metrics.jsonl");

    Run generated =
        Run.gatun(
            "generate",
            workspace.output().toString(),
            "--prompt",
            "Lima, Monday: two red lamps for Ben.\nJSON:",
            "--max-new-tokens",
            "5");
    assertThat(generated.err()).isEmpty();
    assertThat(generated.exitCode()).isZero();
    assertThat(generated.out()).isNotBlank();
  }

  @Test
  void theSameCommandTwiceWritesTheSameBytes() throws IOException {
    workspace.train("output_dir=" + folder.resolve("first"), "lora_dropout=0.1");
    workspace.train("output_dir=" + folder.resolve("second"), "lora_dropout=0.1");

    for (String name : new String[] {"adapter_model.safetensors", "adapter_config.json"}) {
      assertThat(folder.resolve("second").resolve(name))
          .hasSameBinaryContentAs(folder.resolve("first").resolve(name));
    }
  }

  @Test
  void anotherSeedWritesAnotherAdapter() throws IOException {
    workspace.train("output_dir=" + folder.resolve("first"));
    workspace.train("output_dir=" + folder.resolve("second"), "seed=1");

    assertThat(
            Arrays.equals(
                Files.readAllBytes(folder.resolve("first/adapter_model.safetensors")),
                Files.readAllBytes(folder.resolve("second/adapter_model.safetensors"))))
        .isFalse();
  }

  @Test
  void anOlderNameOfAKeyIsAcceptedWithANotice() throws IOException {
    Files.writeString(
        workspace.config(),
        Files.readString(workspace.config()).replace("max_length", "max_seq_length"));

    Run run = workspace.train();

    assertThat(run.exitCode()).isZero();
    assertThat(run.out()).contains("notice:").contains("max_seq_length");
  }

  @Test
  void aDeviceThatIsNotThereIsAFailure() {
    Run run = Run.gatun("train", workspace.config().toString(), "--device", "cuda:7");

    assertThat(run.exitCode()).isEqualTo(1);
    assertThat(run.err()).startsWith("gatun: ").contains("cuda:7").hasLineCount(1);
  }

  @Test
  void previewMarksWhatIsTrained() {
    Run run = Run.gatun("preview", workspace.config().toString(), "--rows", "2");

    assertThat(run.err()).isEmpty();
    assertThat(run.exitCode()).isZero();
    assertThat(run.out())
        .containsPattern("--- row 1 .*train\\.jsonl line 1 +\\d+ tokens, \\d+ trained")
        .contains("the customer is Chloe.\nJSON:[[ {\"name\": \"Chloe\"", "<|endoftext|>]]")
        .contains("the end of text is trained in 100.0 % of the rows")
        .doesNotContain("--- row 3");
  }

  @Test
  void previewSaysWhatWouldBeCut() {
    String config = workspace.config().toString();

    assertThat(Run.gatun("preview", config, "--set", "max_length=40").out())
        .contains("overlong_policy: error");
    assertThat(
            Run.gatun(
                    "preview",
                    config,
                    "--set",
                    "max_length=40",
                    "--set",
                    "overlong_policy=truncate")
                .out())
        .containsPattern("longer than max_length: 8 rows.* [1-9]\\d* tokens are cut");
  }
}
