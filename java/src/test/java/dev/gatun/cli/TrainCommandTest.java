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
  void theBestModelIsTheResultAndPatienceEndsTheRun() throws IOException {
    Path output = workspace.output();

    Run run =
        workspace.train(
            "eval_dataset_path=" + workspace.data(),
            "eval_strategy=steps",
            "eval_steps=2",
            "save_steps=2",
            "save_total_limit=1",
            "max_steps=20",
            "load_best_model_at_end=true",
            "greater_is_better=true", // the loss falls, so that the first evaluation stays the best
            "early_stopping_patience=2");

    assertThat(run.err()).isEmpty();
    assertThat(run.exitCode()).isZero();
    assertThat(run.out())
        .contains("early stopping: eval_loss did not improve in 2 evaluations")
        .containsPattern("the final model is that of .*checkpoint-2; .* eval_loss .* at step 2")
        .contains("finished after step 6");
    assertThat(output.resolve("checkpoint-2")).isDirectory();
    assertThat(output.resolve("checkpoint-4")).doesNotExist();
    assertThat(output.resolve("checkpoint-6")).isDirectory();
    assertThat(output.resolve("adapter_model.safetensors"))
        .hasSameBinaryContentAs(output.resolve("checkpoint-2/adapter_model.safetensors"));
    assertThat(
            Files.mismatch(
                output.resolve("adapter_model.safetensors"),
                output.resolve("checkpoint-6/adapter_model.safetensors")))
        .isNotNegative();
  }

  @Test
  void strategiesAtOddsAreAUsageErrorBeforeAnythingIsWritten() {
    Run run =
        workspace.train(
            "eval_dataset_path=" + workspace.data(),
            "eval_strategy=epoch",
            "load_best_model_at_end=true");

    assertThat(run.exitCode()).isEqualTo(2);
    assertThat(run.err()).contains("eval_strategy is epoch and save_strategy is steps");
    assertThat(run.err()).hasLineCount(1);
    assertThat(workspace.output()).doesNotExist();
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
