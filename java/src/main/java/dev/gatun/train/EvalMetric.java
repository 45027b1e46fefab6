package dev.gatun.train;

import dev.gatun.train.SftConfig.Metric;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/// A figure of evaluations that can be compared.
///
/// @param dataset name of the evaluation data, empty for those without a name
public record EvalMetric(String dataset, Metric metric) {
  private static final String PREFIX = "eval_";

  /// The figure of evaluation data without a name.
  public static EvalMetric of(Metric metric) {
    return new EvalMetric("", metric);
  }

  /// What a figure is called in the log: `eval_loss`, or of evaluation data with a name
  /// `eval_NAME_loss`.
  static String figure(String dataset, String figure) {
    return PREFIX + (dataset.isEmpty() ? "" : dataset + "_") + figure;
  }

  /// Its name in the log.
  String figure() {
    return figure(dataset, word(metric));
  }

  private static String word(Metric metric) {
    return metric.name().toLowerCase(Locale.ROOT);
  }

  /// Its name in the log, with or without `eval_`.
  static ConfigType<EvalMetric> type() {
    List<String> words = Arrays.stream(Metric.values()).map(EvalMetric::word).toList();
    return new ConfigType<>(
        "one of "
            + String.join(", ", words)
            + ", where evaluation data have names with NAME_ before it",
        words,
        value ->
            value instanceof ConfigValue.Scalar scalar && scalar.value() instanceof String text
                ? parse(text.startsWith(PREFIX) ? text.substring(PREFIX.length()) : text)
                : null,
        EvalMetric::figure);
  }

  /// The longest name of a metric counts: `token_loss` is no loss of data named `token`.
  private static @Nullable EvalMetric parse(String text) {
    return Arrays.stream(Metric.values())
        .filter(metric -> text.equals(word(metric)) || text.endsWith("_" + word(metric)))
        .max(Comparator.comparingInt(metric -> word(metric).length()))
        .map(metric ->
            new EvalMetric(
                text.substring(0, Math.max(0, text.length() - word(metric).length() - 1)), metric))
        .orElse(null);
  }
}
