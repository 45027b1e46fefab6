package dev.gatun.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.cpu.CpuBackend;
import dev.gatun.generate.Generator;
import dev.gatun.generate.Generator.Completion;
import dev.gatun.generate.LanguageModel;
import dev.gatun.generate.Sampler;
import dev.gatun.io.AdapterFiles;
import dev.gatun.io.WeightFormat;
import dev.gatun.op.Backend;
import dev.gatun.text.Tokenizer;
import dev.gatun.train.SftConfig.Interval;
import dev.gatun.train.SftConfig.Metric;
import dev.gatun.train.TrainingEvent.Evaluated;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Held-out questions that are answered at the evaluations of a run.
class AnswersTest {
  private static final int MAX_NEW_TOKENS = 12;
  private static final Backend backend = CpuBackend.create();

  @TempDir private Path directory;

  @AfterAll
  static void closeBackend() {
    backend.close();
  }

  private Path write(String name, String... rows) throws IOException {
    return Files.writeString(directory.resolve(name), String.join("\n", rows) + "\n");
  }

  private static String row(String prompt, String completion) {
    Map<String, String> row = new LinkedHashMap<>();
    row.put("prompt", prompt);
    row.put("completion", completion);
    return JsonMapper.shared().writeValueAsString(row);
  }

  /// Four rows to learn by heart. Of the questions the third contradicts them.
  private SftConfigBuilder config() throws IOException {
    Path rows =
        write(
            "train.jsonl",
            row("sky:", " blue"),
            row("grass:", " green"),
            row("snow:", " white"),
            row("coal:", " black"));
    Path questions =
        write(
            "held.jsonl",
            row("sky:", " blue"),
            row("grass:", "green "),
            row("snow:", " yellow"),
            row("coal:", " black"),
            row("not asked:", " for"));
    return TinyRun.config(directory, 8)
        .datasetPath(rows)
        .evalDatasetPath(questions)
        .perDeviceTrainBatchSize(4)
        .evalOnStart(true)
        .evalStrategy(Interval.STEPS)
        .evalSteps(20.0)
        .evalGenerationSamples(4)
        .evalGenerationMaxNewTokens(MAX_NEW_TOKENS)
        .perDeviceEvalBatchSize(3)
        .maxSteps(60);
  }

  private static List<Evaluated> run(SftConfig config) {
    List<Evaluated> evaluations = new ArrayList<>();
    new SftTrainer(
            config,
            backend,
            event -> {
              if (event instanceof Evaluated evaluated) {
                evaluations.add(evaluated);
              }
            })
        .run();
    return evaluations;
  }

  private static List<JsonNode> lines(Path file) throws IOException {
    return Files.readAllLines(file).stream().map(JsonMapper.shared()::readTree).toList();
  }

  /// One by one, with the adapter as it was saved.
  private static List<Completion> ask(SftConfig config, List<String> prompts) {
    Path adapter = config.output().outputDir();
    try (LanguageModel model =
        LanguageModel.open(
            backend, config.model().modelNameOrPath(), adapter, new WeightFormat.AsStored())) {
      Generator generator = new Generator(model);
      return generator.generate(
          model.tokenizer().encodeAll(prompts, true),
          new Generator.Settings(MAX_NEW_TOKENS, 1, Sampler.greedy()));
    }
  }

  private static String decode(SftConfig config, int[] ids) {
    try (Tokenizer tokenizer = Tokenizer.open(config.model().tokenizer())) {
      return tokenizer.decode(ids, true);
    }
  }

  @Test
  void whatIsLearntIsAnsweredAsTheSavedAdapterAnswersIt() throws IOException {
    SftConfig config = config().build();
    Path output = config.output().outputDir();

    List<Evaluated> evaluations = run(config);

    assertThat(evaluations).extracting(Evaluated::step).containsExactly(0, 20, 40, 60);
    assertThat(evaluations.getFirst().result().exactMatch()).hasValue(0);
    assertThat(evaluations.getLast().result().exactMatch()).hasValue(0.75);
    List<JsonNode> samples = lines(output.resolve("samples.jsonl"));
    assertThat(samples).hasSize(16);
    List<JsonNode> last = samples.subList(12, 16);
    assertThat(last).extracting(sample -> sample.path("step").intValue()).containsOnly(60);
    List<String> prompts = last.stream().map(each -> each.path("prompt").stringValue()).toList();
    assertThat(prompts).containsExactly("sky:", "grass:", "snow:", "coal:");
    assertThat(last)
        .extracting(sample -> sample.path("expected").stringValue())
        .containsExactly(" blue", "green ", " yellow", " black");
    assertThat(last)
        .extracting(sample -> sample.path("match").booleanValue())
        .containsExactly(true, true, false, true);
    List<Completion> independent = ask(config, prompts);
    for (int i = 0; i < last.size(); i++) {
      assertThat(last.get(i).path("generated").stringValue())
          .isEqualTo(decode(config, independent.get(i).ids()));
      assertThat(independent.get(i).ended()).isTrue();
    }
  }

  @Test
  void everyFileOfTheRunSaysTheShare() throws IOException {
    SftConfig config =
        config().evalOnStart(false).reportTo(List.of(SftConfig.Reporter.TENSORBOARD)).build();
    Path output = config.output().outputDir();

    List<Double> shares =
        run(config).stream().map(each -> each.result().exactMatch().orElseThrow()).toList();

    assertThat(
            lines(output.resolve("metrics.jsonl")).stream()
                .filter(line -> line.has("eval_loss"))
                .map(line -> line.path("eval_exact_match").doubleValue()))
        .isEqualTo(shares);
    JsonNode state = JsonMapper.shared().readTree(output.resolve("trainer_state.json"));
    assertThat(
            state
                .path("log_history")
                .valueStream()
                .filter(entry -> entry.has("eval_loss"))
                .map(entry -> entry.path("eval_exact_match").doubleValue()))
        .isEqualTo(shares);
    String page = Files.readString(output.resolve("report.html"));
    assertThat(page)
        .contains(
            "<figcaption>Exact match, share of the answers</figcaption>",
            "step 60: 3 of 4 match",
            "<td> yellow</td>");
    assertThat(page).containsPattern("<tr class=\"right\"><td>step 60</td><td>\\s*blue</td>");
    assertThat(page).containsPattern("<tr class=\"wrong\"><td>step 60</td><td>\\s*white</td>");
    try (Stream<Path> events = Files.walk(output.resolve("runs"))) {
      Path file = events.filter(Files::isRegularFile).findFirst().orElseThrow();
      assertThat(Files.readString(file, StandardCharsets.ISO_8859_1)).contains("eval/exact_match");
    }
  }

  @Test
  void askingLeavesNoTraceInTheTraining() throws IOException {
    SftConfigBuilder config =
        config()
            .loraDropout(0.2)
            .loadIn4bit(true)
            .gradientAccumulationSteps(2)
            .maxSteps(6)
            .evalSteps(2.0);
    run(config.outputDir(directory.resolve("asked")).build());
    run(config.outputDir(directory.resolve("silent")).evalGenerationSamples(0).build());

    assertThat(directory.resolve("asked/samples.jsonl")).isNotEmptyFile();
    assertThat(directory.resolve("silent/samples.jsonl")).doesNotExist();
    assertThat(directory.resolve("asked").resolve(AdapterFiles.TENSORS))
        .hasSameBinaryContentAs(directory.resolve("silent").resolve(AdapterFiles.TENSORS));
    List<JsonNode> asked = lines(directory.resolve("asked/metrics.jsonl"));
    List<JsonNode> silent = lines(directory.resolve("silent/metrics.jsonl"));
    assertThat(asked).hasSameSizeAs(silent);
    for (int i = 0; i < asked.size(); i++) {
      for (String key : List.of("loss", "grad_norm", "eval_loss", "eval_token_loss")) {
        assertThat(asked.get(i).path(key)).isEqualTo(silent.get(i).path(key));
      }
    }
  }

  @Test
  void theBestByExactMatchIsTheFirstThatAnswersMost() throws IOException {
    SftConfig config =
        config()
            .loadBestModelAtEnd(true)
            .metricForBestModel(EvalMetric.of(Metric.EXACT_MATCH))
            .saveStrategy(Interval.STEPS)
            .saveSteps(20)
            .build();
    Path output = config.output().outputDir();

    List<Evaluated> evaluations = run(config);

    int best = 0;
    double most = Double.NEGATIVE_INFINITY;
    for (Evaluated each : evaluations) {
      double share = each.result().exactMatch().orElseThrow();
      if (each.step() > 0 && share > most) {
        most = share;
        best = each.step();
      }
    }
    JsonNode state = JsonMapper.shared().readTree(output.resolve("trainer_state.json"));
    assertThat(state.path("best_metric").doubleValue()).isEqualTo(most).isEqualTo(0.75);
    assertThat(state.path("best_global_step").intValue()).isEqualTo(best).isLessThan(60);
    assertThat(output.resolve(AdapterFiles.TENSORS))
        .hasSameBinaryContentAs(output.resolve("checkpoint-" + best).resolve(AdapterFiles.TENSORS));
  }

  @Test
  void answersOfAnotherRunAreNotLeftInTheFolder() throws IOException {
    SftConfigBuilder config = config().maxSteps(1);
    run(config.build());
    assertThat(directory.resolve("out/samples.jsonl")).isNotEmptyFile();

    run(config.evalGenerationSamples(0).overwriteOutputDir(true).build());

    assertThat(directory.resolve("out/samples.jsonl")).doesNotExist();
    assertThat(directory.resolve("out/report.html")).content().doesNotContain("<h2>Samples</h2>");
  }

  @Test
  void questionsThatCannotBeAskedAreOneSentenceBeforeAnythingIsDone() throws IOException {
    Path text = write("text.jsonl", "{\"text\": \"no question\"}");
    refused(
        config().evalDatasetPath().evalOnStart(false).evalStrategy(Interval.NO),
        "eval_dataset_path is not set");
    refused(
        config().evalDatasetPath(text), "text.jsonl line 1 has no answer apart from its prompt");
    refused(
        config().evalGenerationMaxNewTokens(125),
        "held.jsonl line 1: the prompt has 5 tokens and eval_generation_max_new_tokens is 125, but the model's context holds 128");
    refused(
        config().evalGenerationAnswer("#### (.*)"),
        "held.jsonl line 1: the expected answer has nothing that matches #### (.*)");
  }

  private void refused(SftConfigBuilder config, String part) {
    assertThatThrownBy(() -> run(config.build()))
        .isInstanceOf(InputException.class)
        .hasMessageContaining(part)
        .message()
        .hasLineCount(1);
    assertThat(directory.resolve("out")).doesNotExist();
  }
}
