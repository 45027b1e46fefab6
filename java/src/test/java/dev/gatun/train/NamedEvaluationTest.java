package dev.gatun.train;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.cpu.CpuBackend;
import dev.gatun.io.JsonObject;
import dev.gatun.op.Backend;
import dev.gatun.train.SftConfig.Interval;
import dev.gatun.train.SftConfig.Metric;
import dev.gatun.train.SftConfig.Reporter;
import dev.gatun.train.TrainingEvent.Evaluated;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Evaluation on several datasets by name, held against evaluations on each of them alone.
class NamedEvaluationTest {
  private static final Backend backend = CpuBackend.create();
  private static final String REQUIRED =
      "model_name_or_path: model\ndataset_path: train.jsonl\noutput_dir: out\n";

  @TempDir private Path directory;
  private final SequencedMap<String, List<Path>> datasets = new LinkedHashMap<>();

  @AfterAll
  static void closeBackend() {
    backend.close();
  }

  @BeforeEach
  void writeDatasets() throws IOException {
    datasets.put("short", List.of(TinyRun.rows(directory, 3)));
    Path other =
        Files.writeString(
            directory.resolve("other.jsonl"),
            """
            {"prompt": "is it?", "completion": " no no maybe"}
            {"prompt": "was it then?", "completion": " perhaps not"}
            """);
    datasets.put("a.other_set", List.of(other, TinyRun.rows(directory, 5)));
  }

  private SftConfigBuilder config() throws IOException {
    return TinyRun.config(directory, 8)
        .evalStrategy(Interval.STEPS)
        .evalSteps(2.0)
        .perDeviceEvalBatchSize(2)
        .saveStrategy(Interval.STEPS)
        .saveSteps(2)
        .maxSteps(5);
  }

  private static List<TrainingEvent> run(SftConfig config) {
    List<TrainingEvent> events = new ArrayList<>();
    new SftTrainer(config, backend, events::add).run();
    return events;
  }

  private static List<Evaluated> evaluations(List<TrainingEvent> events) {
    return events.stream().filter(Evaluated.class::isInstance).map(Evaluated.class::cast).toList();
  }

  private static SftConfig parse(String lines) {
    return SftConfigReader.parse("c.yaml", REQUIRED + lines, List.of()).config();
  }

  @Test
  void everyDatasetIsEvaluatedInOrderAsItWouldBeAlone() throws IOException {
    List<TrainingEvent> events =
        run(config().evalDatasets(datasets).reportTo(List.of(Reporter.TENSORBOARD)).build());

    List<Evaluated> named = evaluations(events);
    assertThat(named).extracting(Evaluated::step).containsExactly(2, 2, 4, 4, 5, 5);
    assertThat(named).extracting(Evaluated::dataset).startsWith("short", "a.other_set");
    List<JsonObject> lines =
        JsonObject.readLines(directory.resolve("out/metrics.jsonl")).stream()
            .filter(line -> !line.has("loss"))
            .toList();
    List<JsonObject> log =
        JsonObject.read(directory.resolve("out/trainer_state.json")).objects("log_history").stream()
            .filter(entry -> entry.keys().stream().anyMatch(key -> key.startsWith("eval_")))
            .toList();
    for (String name : datasets.keySet()) {
      Path output = directory.resolve("alone-" + name);
      Path[] files = requireNonNull(datasets.get(name)).toArray(Path[]::new);
      List<Evaluated> alone =
          evaluations(run(config().evalDatasetPath(files).outputDir(output).build()));
      for (int i = 0; i < alone.size(); i++) {
        EvaluationResult expected = alone.get(i).result();
        int at = 2 * i + (name.equals("short") ? 0 : 1);
        assertThat(named.get(at).dataset()).isEqualTo(name);
        assertThat(named.get(at).result())
            .usingRecursiveComparison()
            .ignoringFields("duration")
            .isEqualTo(expected);
        String prefix = "eval_" + name + "_";
        assertThat(lines.get(at).keys()).noneMatch(key -> key.equals("eval_loss"));
        assertThat(lines.get(at).number(prefix + "loss")).isEqualTo(expected.rowWeightedLoss());
        assertThat(lines.get(at).number(prefix + "token_loss")).isEqualTo(expected.loss());
        assertThat(lines.get(at).number(prefix + "targets")).isEqualTo(expected.targets());
        assertThat(log.get(at).number(prefix + "loss")).isEqualTo(expected.rowWeightedLoss());
        assertThat(log.get(at).number(prefix + "entropy")).isEqualTo(expected.entropy());
        assertThat(ProgressLines.line(named.get(at))).contains("eval " + name + " loss");
      }
    }
    try (Stream<Path> logs = Files.list(directory.resolve("out/runs"))) {
      assertThat(logs.findFirst().orElseThrow())
          .content(StandardCharsets.ISO_8859_1)
          .contains("eval/short_loss", "eval/a.other_set_loss")
          .doesNotContain("eval/loss");
    }
    assertThat(directory.resolve("out/report.html"))
        .content()
        .contains(
            "</i>short</span>", "</i>a.other_set</span>", "</i>a.other_set, other.jsonl</span>")
        .contains("last evaluation loss, short", "best evaluation loss, a.other_set");
  }

  /// What was learned by heart is answered rightly, the other dataset's questions are not.
  @Test
  void everyDatasetHasQuestionsOfItsOwn() throws IOException {
    Path known =
        Files.writeString(
            directory.resolve("known.jsonl"),
            """
            {"prompt": "sky:", "completion": " blue"}
            {"prompt": "snow:", "completion": " white"}
            """);
    datasets.putFirst("known", List.of(known));
    SftConfig config =
        config()
            .datasetPath(known)
            .evalDatasets(datasets)
            .evalGenerationSamples(2)
            .evalGenerationMaxNewTokens(8)
            .metricForBestModel(new EvalMetric("known", Metric.EXACT_MATCH))
            .evalSteps(60.0)
            .saveSteps(60)
            .maxSteps(60)
            .build();

    List<Evaluated> evaluations = evaluations(run(config));

    assertThat(evaluations).extracting(each -> each.result().answers().size()).containsOnly(2);
    assertThat(evaluations)
        .extracting(each -> each.result().exactMatch().orElseThrow())
        .containsExactly(1.0, 0.0, 0.0);
    List<JsonObject> lines =
        JsonObject.readLines(directory.resolve("out/metrics.jsonl")).stream()
            .filter(line -> !line.has("loss"))
            .toList();
    assertThat(lines.get(0).number("eval_known_exact_match")).isOne();
    assertThat(lines.get(1).number("eval_short_exact_match")).isZero();
    assertThat(JsonObject.readLines(directory.resolve("out/samples.jsonl")))
        .extracting(line -> line.string("dataset"))
        .containsExactly("known", "known", "short", "short", "a.other_set", "a.other_set");
    assertThat(JsonObject.read(directory.resolve("out/trainer_state.json")).number("best_metric"))
        .isOne();
    assertThat(directory.resolve("out/report.html")).content().contains("Exact match");
    try (ModelEvaluation again =
        ModelEvaluation.open(
            config, backend, config.output().outputDir(), config.data().evalDatasets())) {
      assertThat(List.copyOf(again.run(0).answers().values()))
          .usingRecursiveComparison()
          .isEqualTo(evaluations.stream().map(each -> each.result().answers()).toList());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"short", "a.other_set"})
  void theBestModelIsThatOfTheNamedDataset(String name) throws IOException {
    List<TrainingEvent> events =
        run(
            config()
                .learningRate(0.3)
                .evalDatasets(datasets)
                .loadBestModelAtEnd(true)
                .metricForBestModel(new EvalMetric(name, Metric.LOSS))
                .build());

    double least =
        evaluations(events).stream()
            .filter(each -> each.dataset().equals(name))
            .mapToDouble(each -> each.result().rowWeightedLoss())
            .min()
            .orElseThrow();
    JsonObject state = JsonObject.read(directory.resolve("out/trainer_state.json"));
    assertThat(state.number("best_metric")).isEqualTo(least);
    assertThat(events)
        .filteredOn(TrainingEvent.Notice.class::isInstance)
        .last()
        .asString()
        .contains("the best evaluation was eval_" + name + "_loss");
  }

  @Test
  void aChangedDatasetOrNameIsNoticedOnResume() throws IOException {
    run(config().evalDatasets(datasets).build());
    List<Path> files = requireNonNull(datasets.get("a.other_set"));
    SequencedMap<String, List<Path>> renamed = new LinkedHashMap<>(datasets);
    renamed.put("other", requireNonNull(renamed.remove("short")));
    SftConfigBuilder resumed = config().resumeFromCheckpoint("last");

    assertThatThrownBy(() -> run(resumed.evalDatasets(renamed).build()))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("evaluation data short/0/rows-3.jsonl is missing");
    Files.writeString(files.getLast(), Files.readString(files.getFirst()));
    assertThatThrownBy(() -> run(resumed.evalDatasets(datasets).build()))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("evaluation data a.other_set/1/rows-5.jsonl has other content");
  }

  @Test
  void theConfigurationNamesThemInOrder() {
    String lines = "eval_dataset: {z: z.jsonl, a-b: [a.jsonl, b.jsonl]}\n";
    SftConfig config = parse(lines);

    assertThat(config.data().evalDatasets())
        .containsExactly(
            Map.entry("z", List.of(Path.of("z.jsonl"))),
            Map.entry("a-b", List.of(Path.of("a.jsonl"), Path.of("b.jsonl"))));
    assertThat(config.data().evalDatasetPath()).hasSize(3);
    SftConfig again =
        SftConfigReader.parse("again", SftConfigWriter.toYaml(config), List.of()).config();
    assertThat(again.data().evalDatasets().sequencedKeySet()).containsExactly("z", "a-b");
    assertThat(again).isEqualTo(config);
    assertThat(SftConfigReader.parse("c.yaml", REQUIRED + lines, List.of()).notices())
        .containsExactly("c.yaml:4:1: eval_dataset is read as eval_dataset_path");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          eval_dataset_path: {a b: a.jsonl} | by names of letters, digits
          eval_dataset_path: {a/b: a.jsonl} | by names of letters, digits
          eval_dataset_path: {a: []} | must be a path, a list of paths, or a section
          eval_dataset_path: {a: {b: c.jsonl}} | must be a path, a list of paths, or a section
          eval_dataset_path: {a_token: a.jsonl} | a dataset a_token, whose loss would be called as another's token_loss
          eval_dataset_path: {a: a.jsonl, b: b.jsonl}; metric_for_best_model: eval_c_loss | is eval_c_loss, which no evaluation has; with this eval_dataset_path set it to eval_a_loss or eval_b_loss
          eval_dataset_path: {a: a.jsonl, b: b.jsonl}; metric_for_best_model: loss | is eval_loss, which no evaluation has; with this eval_dataset_path set it to eval_a_loss or eval_b_loss
          eval_dataset_path: {a: a.jsonl}; load_best_model_at_end: true; eval_strategy: steps | metric_for_best_model is not set and so eval_loss, which no evaluation has; with this eval_dataset_path set it to eval_a_loss
          eval_dataset_path: a.jsonl; metric_for_best_model: eval_a_token_loss | is eval_a_token_loss, which no evaluation has; with this eval_dataset_path set it to eval_token_loss
          metric_for_best_model: eval_a_loss | is eval_a_loss, which no evaluation has; set eval_dataset_path
          """)
  void whatCannotBeMeantIsRefusedInOneSentence(String settings, String part) {
    assertThatThrownBy(() -> parse(settings.replace("; ", "\n")))
        .isInstanceOf(InputException.class)
        .hasMessageContaining(part)
        .message()
        .hasLineCount(1);
  }

  @Test
  void metricsOfNamedDatasetsAreTakenWithOrWithoutTheirPrefix() {
    String data = "eval_dataset_path: {a: a.jsonl, mean: b.jsonl}\nmetric_for_best_model: ";

    assertThat(parse(data + "eval_a_token_loss").evaluation().selection().metric())
        .isEqualTo(new EvalMetric("a", Metric.TOKEN_LOSS));
    assertThat(parse(data + "mean_mean_token_accuracy").evaluation().selection())
        .matches(selection -> selection.isGreaterBetter())
        .extracting(SftConfig.Selection::metric)
        .isEqualTo(new EvalMetric("mean", Metric.MEAN_TOKEN_ACCURACY));
    assertThat(parse(data + "eval_mean_loss").evaluation().selection())
        .matches(selection -> !selection.isGreaterBetter());
  }
}
