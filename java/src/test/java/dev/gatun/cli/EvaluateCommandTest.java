package dev.gatun.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class EvaluateCommandTest {
  private static final Offset<Double> ROUNDING = within(1e-4);

  @TempDir private Path folder;
  private Workspace workspace = new Workspace(Path.of(""));
  private Path held = Path.of("");

  @BeforeEach
  void createWorkspace() throws IOException {
    workspace = Workspace.create(folder);
    held = folder.resolve("held.jsonl");
    List<String> rows = Files.readAllLines(Workspace.BUNDLED.resolve("eval.jsonl"));
    Files.write(held, rows.subList(0, 6));
  }

  private Run evaluate(String... options) {
    return Run.gatun(
        Stream.concat(Stream.of("evaluate", workspace.config().toString()), Stream.of(options))
            .toArray(String[]::new));
  }

  private JsonNode json(String... options) {
    Run run =
        evaluate(Stream.concat(Stream.of(options), Stream.of("--json")).toArray(String[]::new));
    assertThat(run.err()).isEmpty();
    return JsonMapper.shared().readTree(run.out());
  }

  @Test
  void theSavedAdapterHasTheLossThatTrainingSaid() throws IOException {
    assertThat(workspace.train("eval_dataset_path=" + held, "learning_rate=0.02").err()).isEmpty();
    String metrics = Files.readString(workspace.output().resolve("metrics.jsonl"));
    JsonNode last = JsonMapper.shared().readTree(metrics.lines().reduce("", (_, line) -> line));

    JsonNode trained = json("--set", "eval_dataset_path=" + held);
    JsonNode untrained = json("--base", "--data", held.toString());

    assertThat(trained.get("loss").asDouble())
        .isCloseTo(last.get("eval_token_loss").asDouble(), ROUNDING);
    assertThat(trained.get("perplexity").asDouble())
        .isCloseTo(Math.exp(trained.get("loss").asDouble()), ROUNDING);
    assertThat(trained.get("trained_tokens").asInt()).isEqualTo(last.get("eval_targets").asInt());
    assertThat(trained.get("model").asString()).isEqualTo(workspace.output().toString());
    assertThat(untrained.get("loss").asDouble())
        .isGreaterThan(trained.get("loss").asDouble() + 0.1);
  }

  @Test
  void theSavedAdapterAnswersAsItDidInTraining() throws IOException {
    String[] keys = {
      "eval_dataset_path=" + held, "eval_generation_samples=5", "eval_generation_max_new_tokens=30"
    };
    assertThat(workspace.train(keys).err()).isEmpty();
    List<JsonNode> samples =
        Files.readAllLines(workspace.output().resolve("samples.jsonl")).stream()
            .map(JsonMapper.shared()::readTree)
            .toList();
    String[] options =
        Stream.of(keys).flatMap(key -> Stream.of("--set", key)).toArray(String[]::new);

    JsonNode report = json(options);
    Run table = evaluate(options);

    assertThat(samples).hasSize(5).allMatch(sample -> sample.get("step").asInt() == 2);
    assertThat(report.get("answers").size()).isEqualTo(5);
    long right = 0;
    for (int i = 0; i < 5; i++) {
      for (String key : List.of("prompt", "expected", "generated", "match")) {
        assertThat(report.get("answers").get(i).get(key)).isEqualTo(samples.get(i).get(key));
      }
      right += samples.get(i).get("match").asBoolean() ? 1 : 0;
    }
    assertThat(report.get("exact_match").asDouble()).isEqualTo(right / 5.0);
    assertThat(table.out())
        .contains(
            "Memory plan",
            "  kv-cache ",
            "exact match: %d.0 %% (%d of 5)".formatted(right * 20, right));
  }

  @Test
  void filesAddUpAndTheWorstRowsAreThoseOfTheLargestLossAlone() throws IOException {
    List<String> arguments = new ArrayList<>(List.of("--base"));
    List<String> rows = Files.readAllLines(held);
    for (int i = 0; i < rows.size(); i++) {
      Path one = Files.writeString(folder.resolve("one-" + i + ".jsonl"), rows.get(i) + "\n");
      arguments.addAll(List.of("--data", one.toString()));
    }

    JsonNode alone = json(arguments.toArray(String[]::new));
    JsonNode together = json("--base", "--data", held.toString(), "--worst", "3");

    List<JsonNode> files = new ArrayList<>();
    alone.get("files").forEach(files::add);
    double lossSum =
        files.stream()
            .mapToDouble(file -> file.get("loss").asDouble() * file.get("trained_tokens").asInt())
            .sum();
    double targets = files.stream().mapToDouble(file -> file.get("trained_tokens").asInt()).sum();
    assertThat(together.get("loss").asDouble()).isCloseTo(lossSum / targets, ROUNDING);
    assertThat(alone.get("loss").asDouble()).isCloseTo(lossSum / targets, ROUNDING);
    assertThat(together.get("token_accuracy").asDouble())
        .isCloseTo(alone.get("token_accuracy").asDouble(), ROUNDING);
    List<Integer> expected =
        files.stream()
            .sorted(Comparator.comparingDouble(file -> -file.get("loss").asDouble()))
            .limit(3)
            .map(file -> files.indexOf(file) + 1)
            .toList();
    List<Integer> worst = new ArrayList<>();
    together.get("worst").forEach(row -> worst.add(row.get("row").asInt()));
    assertThat(worst).isEqualTo(expected);
    JsonNode first = together.get("worst").get(0);
    String prompt =
        JsonMapper.shared().readTree(rows.get(worst.getFirst() - 1)).get("prompt").asString();
    assertThat(first.get("source").asString()).endsWith("held.jsonl line " + worst.getFirst());
    assertThat(first.get("text").asString()).contains(prompt.substring(0, 30)).hasSize(80);
  }

  @Test
  void namedDatasetsAreEvaluatedFileByFileAndAsAWhole() throws IOException {
    List<String> rows = Files.readAllLines(held);
    Path first = Files.write(folder.resolve("first.jsonl"), rows.subList(0, 2));
    Path second = Files.write(folder.resolve("second.jsonl"), rows.subList(2, 6));
    String datasets = "eval_dataset_path={one: %s, both: [%s, %s]}".formatted(first, first, second);

    JsonNode named = json("--base", "--set", datasets);
    JsonNode alone = json("--base", "--data", first.toString());
    JsonNode whole = json("--base", "--data", held.toString());
    Run printed = evaluate("--base", "--set", datasets);

    for (String figure : List.of("loss", "token_accuracy", "entropy", "rows", "trained_tokens")) {
      assertThat(named.at("/datasets/one/" + figure).asDouble())
          .isCloseTo(alone.get(figure).asDouble(), ROUNDING);
      assertThat(named.at("/datasets/both/" + figure).asDouble())
          .isCloseTo(whole.get(figure).asDouble(), ROUNDING);
    }
    assertThat(named.at("/datasets/both/files/1/file").asString()).isEqualTo(second.toString());
    assertThat(named.get("files").size()).isEqualTo(3);
    assertThat(alone.has("datasets")).isFalse();
    assertThat(printed.out())
        .contains("one: " + first + ": loss", "both: " + second + ": loss")
        .containsPattern("(?m)^both: loss .* 6 rows")
        .containsPattern("(?m)^all: loss .* 8 rows");
  }

  @Test
  void printsALineForEachFileAndForAll() throws IOException {
    Path other = Files.copy(held, folder.resolve("other.jsonl"));

    Run run =
        evaluate("--base", "--data", held.toString(), "--data", other.toString(), "--worst", "1");

    assertThat(run.err()).isEmpty();
    assertThat(run.exitCode()).isZero();
    String line = ": loss \\d\\.\\d{4}  perplexity \\d+\\.?\\d*  token accuracy \\d+\\.\\d\\d %  ";
    assertThat(run.out())
        .containsPattern("held\\.jsonl" + line + "6 rows, ")
        .containsPattern("other\\.jsonl" + line + "6 rows, ")
        .containsPattern("all" + line + "12 rows, ")
        .containsPattern("line \\d \\(row \\d\\)  \\d+ tokens, \\d+ trained  loss \\d");
  }

  @Test
  void whatIsMissingIsOneSentence() {
    Run noAdapter = evaluate("--data", held.toString());
    Run noData = evaluate("--base");

    assertThat(noAdapter.exitCode()).isEqualTo(2);
    assertThat(noAdapter.err()).contains(workspace.output().toString()).hasLineCount(1);
    assertThat(noData.exitCode()).isEqualTo(2);
    assertThat(noData.err()).contains("eval_dataset_path").hasLineCount(1);
  }
}
