package dev.gatun.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class PreviewCommandTest {
  @TempDir private Path directory;
  private Workspace workspace;

  @BeforeEach
  void create() throws IOException {
    workspace = Workspace.create(directory);
  }

  private Run preview(String... settings) {
    return workspace.run("preview", settings);
  }

  private static JsonNode json(Run run) {
    return JsonMapper.shared().readTree(run.out());
  }

  @Test
  void figuresAreShown() throws IOException {
    List<String> rows = Files.readAllLines(workspace.data());
    Path evaluation =
        Files.write(directory.resolve("eval.jsonl"), List.of(rows.get(3), rows.get(3)));
    workspace.setThirdRow(rows.getFirst());

    Run run = preview("eval_dataset_path=" + evaluation);

    assertThat(run.exitCode()).isZero();
    assertThat(run.out())
        .containsPattern("--- training data: 8 rows")
        .containsPattern("rows end with: '<\\|endoftext\\|>' \\(id \\d+\\) in 100.0 %")
        .contains("exact repeats: 1 rows (12.5 %)")
        .containsPattern("train.jsonl line 3 is .*train.jsonl line 1")
        .containsPattern("packing: 8 rows become \\d+ of 128 tokens, \\d+\\.\\d % filled")
        .containsPattern("padded to their longest row they would be \\d+\\.\\d % padding")
        .containsPattern("(?m)^ +48 - 63 +#{40} 8$")
        .contains("--- evaluation data: 2 rows", "1 samples of the evaluation data");
  }

  @Test
  void everyNamedEvaluationDatasetIsLookedAt() throws IOException {
    List<String> rows = Files.readAllLines(workspace.data());
    Path leaked = Files.write(directory.resolve("leaked.jsonl"), List.of(rows.get(3)));
    Path fresh = Files.write(directory.resolve("fresh.jsonl"), freshRows());
    String datasets = "eval_dataset_path={fresh: %s, old: %s}".formatted(fresh, leaked);

    Run run = preview(datasets);
    Run shown =
        Run.gatun("preview", workspace.config().toString(), "--set", datasets, "--json", "--eval");
    Run cut = preview(datasets, "max_length=20");

    assertThat(run.exitCode()).isZero();
    assertThat(run.out())
        .contains("--- evaluation data fresh: 2 rows", "--- evaluation data old: 1 rows")
        .contains("1 samples of the evaluation data old are in the training data")
        .doesNotContain("samples of the evaluation data fresh");
    assertThat(json(shown).at("/evaluation/fresh/source_rows").asInt()).isEqualTo(2);
    assertThat(json(shown).at("/evaluation/old/source_rows").asInt()).isEqualTo(1);
    assertThat(json(shown).get("rows").size()).isEqualTo(3);
    assertThat(json(shown).at("/rows/2/source").asString()).endsWith("leaked.jsonl line 1");
    assertThat(cut.exitCode()).isEqualTo(2);
    assertThat(cut.out()).contains("2 of 2 rows of the evaluation data fresh are longer");
  }

  private static List<String> freshRows() throws IOException {
    return Files.readAllLines(Workspace.BUNDLED.resolve("eval.jsonl")).subList(0, 2);
  }

  @Test
  void aFolderOfDataIsReadAsInTraining() throws IOException {
    Path folder = Files.createDirectory(directory.resolve("shards"));
    Files.copy(workspace.data(), folder.resolve("a.jsonl"));
    Files.copy(workspace.data(), folder.resolve("b.jsonl"));

    Run run = preview("dataset_path=" + folder, "eval_dataset_path=" + folder);

    assertThat(run.exitCode()).isZero();
    assertThat(run.out()).contains("--- training data: 16 rows", "--- evaluation data: 16 rows");
  }

  @Test
  void jsonHoldsTheSameFigures() {
    Run run = Run.gatun("preview", workspace.config().toString(), "--json", "--rows", "1");

    JsonNode training = json(run).get("training");
    assertThat(run.exitCode()).isZero();
    assertThat(training.get("source_rows").asInt()).isEqualTo(8);
    assertThat(training.get("eos_trained_row_share").asDouble()).isEqualTo(1.0);
    assertThat(training.get("trained_token_share").asDouble()).isStrictlyBetween(0.0, 1.0);
    assertThat(training.at("/figures/lengths/longest").asInt())
        .isEqualTo(training.get("longest").asInt())
        .isPositive();
    assertThat(training.at("/figures/lengths/bins").isArray()).isTrue();
    assertThat(training.get("packing_filled").asDouble()).isStrictlyBetween(0.0, 1.0);
    assertThat(training.get("padding_if_padded").asDouble()).isStrictlyBetween(0.0, 1.0);
    assertThat(json(run).get("evaluation").isNull()).isTrue();
    assertThat(json(run).get("findings").isEmpty()).isTrue();
    assertThat(json(run).at("/rows/0/samples/0/pieces/1/trained").asBoolean()).isTrue();
    assertThat(json(run).get("rows").size()).isEqualTo(1);
  }

  @Test
  void whatStopsTrainingIsSaidAndIsTheExitCode() {
    Run run = preview("max_length=40");
    Run truncated = preview("max_length=40", "overlong_policy=truncate");

    assertThat(run.exitCode()).isEqualTo(2);
    assertThat(run.out()).contains("training stops: 8 of 8 rows are longer than max_length");
    assertThat(truncated.exitCode()).isEqualTo(2);
    assertThat(truncated.out())
        .contains("training stops: every row is longer than max_length and was cut")
        .contains("training stops: the end-of-sequence token <|endoftext|> is trained in no row");
  }

  @Test
  void trainingRefusesWhatPreviewRefuses() {
    Run refused = workspace.run("train", "max_length=40", "overlong_policy=truncate");

    assertThat(refused.exitCode()).isEqualTo(2);
    assertThat(refused.err())
        .startsWith("gatun: the training data: ")
        .contains("allow_findings: [all_truncated]", "allow_findings: [eos_never_trained]")
        .hasLineCount(1);
    assertThat(workspace.output()).doesNotExist();
  }

  @Test
  void allowedFindingsAreNotices() {
    Run run =
        workspace.run(
            "train",
            "max_length=40",
            "overlong_policy=truncate",
            "allow_findings=[all_truncated, eos_never_trained]");

    assertThat(run.err()).isEmpty();
    assertThat(run.exitCode()).isZero();
    assertThat(run.out())
        .contains("notice: every row is longer", "notice: the end-of-sequence token")
        .contains("the first row, trained parts marked:");
  }

  @Test
  void anUnknownFindingIsNamed() {
    Run run = workspace.run("train", "allow_findings=[no_eos]");

    assertThat(run.exitCode()).isEqualTo(2);
    assertThat(run.err()).contains("allow_findings", "eos_never_trained, all_truncated");
  }
}
