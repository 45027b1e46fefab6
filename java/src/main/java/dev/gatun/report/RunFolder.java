package dev.gatun.report;

import dev.gatun.InputException;
import dev.gatun.io.JsonObject;
import dev.gatun.io.TextFiles;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SequencedMap;
import java.util.function.ToDoubleFunction;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.type.TypeReference;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.dataformat.yaml.YAMLMapper;

/// What a run wrote, as far as it is there: only `metrics.jsonl` must be.
///
/// @param name how the run is called on the page
/// @param config keys and values of `config.yaml`
/// @param summary null if `run.json` is missing
record RunFolder(
    String name,
    List<Step> steps,
    List<Evaluation> evaluations,
    Map<String, String> config,
    @Nullable RunSummary summary,
    List<Sample> samples) {
  static final String METRICS = "metrics.jsonl";
  static final String CONFIG = "config.yaml";
  static final String SAMPLES = "samples.jsonl";

  private static final Pattern EVALUATION_LOSS =
      Pattern.compile("eval_(?:(?<dataset>[^/]+)_)?token_loss(?:/(?<file>.+))?", Pattern.DOTALL);

  private static final long LIMIT_BYTES = 64L << 20;

  /// One update.
  record Step(
      int step,
      double loss,
      double learningRate,
      double gradientNorm,
      double tokens,
      double tokensPerSecond) {
    double seconds() {
      return tokensPerSecond == 0 ? 0 : tokens / tokensPerSecond;
    }
  }

  /// One evaluation of some data.
  ///
  /// @param data names of the dataset and of the file of it; each empty where there is none
  /// @param loss mean over tokens
  /// @param exactMatch share of the answers that are right; null where nothing was asked
  record Evaluation(int step, Data data, double loss, @Nullable Double exactMatch) {}

  /// What an evaluation was on.
  ///
  /// @param dataset empty for evaluation data without a name
  /// @param file empty for all files
  record Data(String dataset, String file) {
    /// For people; empty for all there is.
    String label() {
      return dataset + (dataset.isEmpty() || file.isEmpty() ? "" : ", ") + file;
    }
  }

  /// What the model wrote at some step.
  ///
  /// @param expected null where nothing certain was
  /// @param match null where it was not judged
  record Sample(
      int step,
      String prompt,
      @Nullable String expected,
      String generated,
      @Nullable Boolean match) {}

  /// Reads a run.
  ///
  /// @throws InputException if it is no run's folder, or a file in it is damaged
  static RunFolder read(Path folder) {
    Path metrics = folder.resolve(METRICS);
    if (!Files.isRegularFile(metrics)) {
      throw new InputException(
          "%s holds no %s; name the output_dir of a run".formatted(folder, METRICS));
    }
    List<Step> steps = new ArrayList<>();
    List<Evaluation> evaluations = new ArrayList<>();
    for (JsonObject line : JsonObject.readLines(metrics)) {
      int step = line.integer("step", 0, Integer.MAX_VALUE);
      if (line.has("loss")) {
        steps.add(
            new Step(
                step,
                line.number("loss"),
                line.number("learning_rate"),
                line.number("grad_norm"),
                line.number("tokens"),
                line.number("tokens_per_second")));
      }
      for (String key : line.keys()) {
        Matcher loss = EVALUATION_LOSS.matcher(key);
        if (loss.matches()) {
          Data data =
              new Data(
                  Objects.requireNonNullElse(loss.group("dataset"), ""),
                  Objects.requireNonNullElse(loss.group("file"), ""));
          String exactMatch = key.replaceFirst("token_loss$", "exact_match");
          evaluations.add(
              new Evaluation(step, data, line.number(key), line.optionalFloat(exactMatch)));
        }
      }
    }
    return new RunFolder(
        folder.toString(),
        steps,
        evaluations,
        config(folder.resolve(CONFIG)),
        RunSummary.read(folder.resolve(RunSummary.FILE)),
        samples(folder.resolve(SAMPLES)));
  }

  private static Map<String, String> config(Path file) {
    Map<String, String> config = new LinkedHashMap<>();
    if (!Files.isRegularFile(file)) {
      return config;
    }
    try {
      Map<String, @Nullable Object> values =
          YAMLMapper.shared()
              .readValue(TextFiles.read(file, LIMIT_BYTES), new TypeReference<>() {});
      values.forEach((key, value) ->
          config.put(
              key,
              value instanceof String text ? text : JsonMapper.shared().writeValueAsString(value)));
    } catch (JacksonException e) {
      throw new InputException("%s is not valid YAML".formatted(file), e);
    }
    return config;
  }

  private static List<Sample> samples(Path file) {
    List<Sample> samples = new ArrayList<>();
    if (Files.isRegularFile(file)) {
      for (JsonObject line : JsonObject.readLines(file)) {
        samples.add(
            new Sample(
                line.integer("step", 0, Integer.MAX_VALUE),
                line.string("prompt"),
                line.optionalString("expected"),
                line.string("generated"),
                line.has("match") ? line.flag("match", false) : null));
      }
    }
    return samples;
  }

  /// A figure of every update.
  Series series(ToDoubleFunction<Step> figure) {
    return new Series(
        name,
        steps.stream()
            .map(step -> new Series.Point(step.step(), figure.applyAsDouble(step)))
            .toList());
  }

  /// Losses of the evaluation data, each the mean over its tokens: of every dataset, or of every
  /// file where that is known.
  ///
  /// @param several whether there are other runs beside this one
  List<Series> evaluationLosses(boolean byFile, boolean several) {
    return evaluationsBy(byFile).entrySet().stream()
        .map(each ->
            new Series(
                label(each.getKey(), several),
                each.getValue().stream()
                    .map(point -> new Series.Point(point.step(), point.loss()))
                    .toList()))
        .toList();
  }

  private String label(Data data, boolean several) {
    String label = data.label();
    return label.isEmpty() ? name : several ? name + ": " + label : label;
  }

  /// Evaluations by what they were on, in the order of their first ones.
  SequencedMap<Data, List<Evaluation>> evaluationsBy(boolean byFile) {
    SequencedMap<Data, List<Evaluation>> byData = new LinkedHashMap<>();
    evaluations.stream()
        .filter(each -> each.data().file().isEmpty() != byFile)
        .forEach(each -> byData.computeIfAbsent(each.data(), _ -> new ArrayList<>()).add(each));
    return byData;
  }

  /// Shares of right answers to the questions of every dataset.
  ///
  /// @param several whether there are other runs beside this one
  List<Series> exactMatches(boolean several) {
    return evaluationsBy(false).entrySet().stream()
        .map(each -> new Series(label(each.getKey(), several), shares(each.getValue())))
        .toList();
  }

  private static List<Series.Point> shares(List<Evaluation> evaluations) {
    List<Series.Point> points = new ArrayList<>();
    for (Evaluation each : evaluations) {
      Double share = each.exactMatch();
      if (share != null) {
        points.add(new Series.Point(each.step(), share));
      }
    }
    return points;
  }

  /// Tokens a second of all updates together.
  double tokensPerSecond() {
    double seconds = seconds();
    return seconds == 0 ? 0 : steps.stream().mapToDouble(Step::tokens).sum() / seconds;
  }

  /// Time that updates took.
  double seconds() {
    return steps.stream().mapToDouble(Step::seconds).sum();
  }
}
