package dev.gatun.report;

import dev.gatun.report.RunFolder.Step;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.BiFunction;
import java.util.function.ToDoubleFunction;

/// Puts the page together.
///
/// @param runs at least one
record Page(List<RunFolder> runs) {
  /// How many colours the style sheet has for runs.
  static final int COLORS = 8;

  /// How every page begins.
  static final String START =
      """
      <!DOCTYPE html>
      <html lang="en" xmlns="http://www.w3.org/1999/xhtml">
      <head>
      <title>Gatun:\
      """;

  private static final int SMOOTHED_FROM = 100;

  String html() {
    String title = runs.size() == 1 ? runs.getFirst().name() : runs.size() + " runs";
    StringBuilder html = new StringBuilder();
    html.append(START).append(" %s</title>\n".formatted(Html.escape(title)));
    html.append("<meta charset=\"utf-8\"/>\n");
    html.append(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n");
    html.append("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n");
    html.append("<style>\n").append(style()).append("</style>\n</head>\n<body>\n");
    html.append("<h1>%s</h1>\n".formatted(Html.escape(title)));
    html.append(Tables.figures(runs));
    html.append("<div class=\"charts\">\n");
    chart(html, "Training loss", false, losses());
    chart(
        html,
        "Evaluation loss, mean over tokens",
        false,
        evaluations((run, several) -> run.evaluationLosses(false, several)));
    chart(
        html,
        "Evaluation loss by file, mean over tokens",
        false,
        evaluations((run, several) -> run.evaluationLosses(true, several)));
    chart(html, "Exact match, share of the answers", true, evaluations(RunFolder::exactMatches));
    chart(html, "Learning rate", true, steps(Step::learningRate));
    chart(html, "Gradient norm, before clipping", true, steps(Step::gradientNorm));
    chart(html, "Tokens a second", true, steps(Step::tokensPerSecond));
    for (int i = 0; i < runs.size(); i++) {
      lengths(html, runs.get(i), i);
    }
    html.append("</div>\n");
    html.append(Tables.memory(runs));
    html.append(SampleTable.html(runs));
    html.append(Tables.configuration(runs));
    return html.append("</body>\n</html>\n").toString();
  }

  private static String style() {
    try (InputStream in =
        Objects.requireNonNull(Page.class.getResourceAsStream("report.css"), "report.css")) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /// A run without evaluations keeps its place, so that every run has its colour.
  private List<Series> evaluations(BiFunction<RunFolder, Boolean, List<Series>> figure) {
    return runs.stream()
        .flatMap(run -> {
          List<Series> lines = figure.apply(run, runs.size() > 1);
          return (lines.isEmpty() ? List.of(new Series(run.name(), List.of())) : lines).stream();
        })
        .toList();
  }

  private List<Series> steps(ToDoubleFunction<Step> figure) {
    return runs.stream().map(run -> run.series(figure)).toList();
  }

  /// Losses of single batches jump; a long run is drawn as means of its neighbours.
  private List<Series> losses() {
    return runs.stream()
        .map(run -> {
          Series series = run.series(Step::loss);
          int count = series.points().size();
          return count < SMOOTHED_FROM ? series : smoothed(series, count / 50);
        })
        .toList();
  }

  /// @param reach points on each side that a mean takes in
  private static Series smoothed(Series series, int reach) {
    List<Series.Point> points = series.points();
    List<Series.Point> means = new ArrayList<>();
    for (int i = 0; i < points.size(); i++) {
      List<Series.Point> near =
          points.subList(Math.max(0, i - reach), Math.min(points.size(), i + reach + 1));
      means.add(
          new Series.Point(
              points.get(i).x(), near.stream().mapToDouble(Series.Point::y).average().orElse(0)));
    }
    return new Series("mean of %d, %s".formatted(2 * reach + 1, series.name()), means);
  }

  private void chart(StringBuilder html, String title, boolean fromZero, List<Series> series) {
    LineChart chart = new LineChart(title, fromZero, series);
    if (!chart.isEmpty()) {
      html.append("<figure><figcaption>%s</figcaption>\n".formatted(Html.escape(title)));
      if (series.size() > runs.size()) {
        legend(html, series);
      }
      html.append(chart.svg()).append("</figure>\n");
    }
  }

  /// Colours of lines that are not one a run.
  private static void legend(StringBuilder html, List<Series> series) {
    html.append("<p class=\"legend\">");
    for (int i = 0; i < series.size(); i++) {
      if (!series.get(i).points().isEmpty()) {
        html.append(
            "<span><i class=\"key c%d\"></i>%s</span>"
                .formatted(i % COLORS, Html.escape(series.get(i).name())));
      }
    }
    html.append("</p>\n");
  }

  private void lengths(StringBuilder html, RunFolder run, int color) {
    RunSummary summary = run.summary();
    if (summary == null) {
      return;
    }
    List<Integer> counts = summary.lengths().counts();
    int width = summary.lengths().width();
    int labelled = Math.ceilDiv(counts.size(), 8);
    List<BarChart.Bar> bars = new ArrayList<>();
    for (int i = 0; i < counts.size(); i++) {
      int to = (i + 1) * width;
      bars.add(
          new BarChart.Bar(
              i % labelled == labelled - 1 ? Integer.toString(to) : "",
              "%s tokens: %d sequences"
                  .formatted(width == 1 ? to : i * width + 1 + " to " + to, counts.get(i)),
              counts.get(i)));
    }
    String title =
        "Sequences of the training data by tokens" + (runs.size() > 1 ? ": " + run.name() : "");
    html.append("<figure><figcaption>%s</figcaption>\n".formatted(Html.escape(title)));
    html.append(new BarChart(title, bars, color).svg()).append("</figure>\n");
  }
}
