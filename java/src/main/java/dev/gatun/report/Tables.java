package dev.gatun.report;

import dev.gatun.report.RunFolder.Evaluation;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.SequencedSet;

/// The tables of a page but that of samples.
final class Tables {
  private Tables() {}

  /// Key figures: a tile each for one run, a row each for several.
  static String figures(List<RunFolder> runs) {
    if (runs.size() == 1) {
      StringBuilder html = new StringBuilder("<div class=\"tiles\">\n");
      figures(runs.getFirst())
          .forEach((name, value) ->
              html.append(
                  "<div class=\"tile\"><span>%s</span><b>%s</b></div>\n"
                      .formatted(Html.escape(name), Html.escape(value))));
      return html.append("</div>\n").toString();
    }
    List<Map<String, String>> all = runs.stream().map(Tables::figures).toList();
    SequencedSet<String> names = new LinkedHashSet<>();
    all.forEach(each -> names.addAll(each.keySet()));
    StringBuilder html = new StringBuilder("<table class=\"runs\">\n<tr><th>run</th>");
    names.forEach(name -> html.append(cell("th", name)));
    html.append("</tr>\n");
    for (int i = 0; i < runs.size(); i++) {
      html.append(
          "<tr><td><i class=\"key c%d\"></i>%s</td>"
              .formatted(i % Page.COLORS, Html.escape(runs.get(i).name())));
      for (String name : names) {
        html.append(cell("td", all.get(i).getOrDefault(name, "")));
      }
      html.append("</tr>\n");
    }
    return html.append("</table>\n").toString();
  }

  private static Map<String, String> figures(RunFolder run) {
    Map<String, String> figures = new LinkedHashMap<>();
    RunSummary summary = run.summary();
    if (!run.steps().isEmpty()) {
      int done = run.steps().getLast().step();
      figures.put(
          "updates", summary == null ? "" + done : "%d of %d".formatted(done, summary.updates()));
      figures.put("last loss", Numbers.brief(run.steps().getLast().loss()));
    }
    run.evaluationsBy(false)
        .forEach((data, evaluations) -> {
          String of = data.label().isEmpty() ? "" : ", " + data.label();
          figures.put("last evaluation loss" + of, Numbers.brief(evaluations.getLast().loss()));
          figures.put(
              "best evaluation loss" + of,
              Numbers.brief(
                  evaluations.stream().mapToDouble(Evaluation::loss).min().orElseThrow()));
        });
    if (!run.steps().isEmpty()) {
      figures.put("tokens a second", String.format(Locale.ROOT, "%,.0f", run.tokensPerSecond()));
      figures.put("time in updates", clock(run.seconds()));
    }
    if (summary != null) {
      figures.put("memory", Numbers.bytes(summary.memoryBytes()));
      figures.put(
          "trained parameters", String.format(Locale.ROOT, "%,d", summary.trainableParameters()));
      figures.put("device", summary.device());
    }
    return figures;
  }

  private static String clock(double seconds) {
    Duration time = Duration.ofSeconds(Math.round(seconds));
    return "%d:%02d:%02d".formatted(time.toHours(), time.toMinutesPart(), time.toSecondsPart());
  }

  /// What the arenas hold, with a bar for each; empty if no run says.
  static String memory(List<RunFolder> runs) {
    StringBuilder html = new StringBuilder();
    long most =
        runs.stream()
            .map(RunFolder::summary)
            .filter(Objects::nonNull)
            .flatMap(summary -> summary.memory().stream())
            .mapToLong(RunSummary.Arena::bytes)
            .max()
            .orElse(0);
    for (int i = 0; i < runs.size(); i++) {
      RunSummary summary = runs.get(i).summary();
      if (summary == null) {
        continue;
      }
      html.append("<table class=\"memory c%d\">\n".formatted(i % Page.COLORS));
      if (runs.size() > 1) {
        html.append(
            "<caption><i class=\"key\"></i>%s</caption>\n"
                .formatted(Html.escape(runs.get(i).name())));
      }
      for (RunSummary.Arena arena : summary.memory()) {
        html.append("<tr>").append(cell("td", arena.name()));
        html.append(cell("td", Numbers.bytes(arena.bytes())));
        html.append(
            String.format(
                Locale.ROOT,
                "<td><svg class=\"meter\" viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\"><rect class=\"bar\" width=\"%.2f\" height=\"10\"/></svg></td>",
                100.0 * arena.bytes() / Math.max(1, most)));
        html.append(cell("td", arena.holds())).append("</tr>\n");
      }
      html.append("<tr><th>total</th>")
          .append(cell("th", Numbers.bytes(summary.memoryBytes())))
          .append("<th></th><th></th></tr>\n</table>\n");
    }
    return html.isEmpty() ? "" : "<h2>Memory, reserved before the first update</h2>\n" + html;
  }

  /// One run's keys, or where several differ.
  static String configuration(List<RunFolder> runs) {
    SequencedSet<String> keys = new LinkedHashSet<>();
    runs.forEach(run -> keys.addAll(run.config().keySet()));
    List<String> shown = new ArrayList<>();
    for (String key : keys) {
      if (runs.size() == 1
          || runs.stream().map(run -> run.config().getOrDefault(key, "")).distinct().count() > 1) {
        shown.add(key);
      }
    }
    if (shown.isEmpty()) {
      return "";
    }
    StringBuilder html =
        new StringBuilder(
            runs.size() == 1
                ? "<h2>Configuration</h2>\n"
                : "<h2>Where the configurations differ</h2>\n");
    html.append("<table class=\"configuration\">\n");
    if (runs.size() > 1) {
      html.append("<tr><th>key</th>");
      runs.forEach(run -> html.append(cell("th", run.name())));
      html.append("</tr>\n");
    }
    for (String key : shown) {
      html.append("<tr>").append(cell("td", key));
      runs.forEach(run -> html.append(cell("td", run.config().getOrDefault(key, ""))));
      html.append("</tr>\n");
    }
    return html.append("</table>\n").toString();
  }

  static String cell(String element, String text) {
    return "<%s>%s</%s>".formatted(element, Html.escape(text), element);
  }
}
