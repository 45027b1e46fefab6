package dev.gatun.report;

import dev.gatun.report.RunFolder.Sample;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/// What the model wrote to the same prompts as training went on.
final class SampleTable {
  private static final int MOST_PROMPTS = 25;
  private static final int MOST_STEPS = 12;

  private SampleTable() {}

  /// Empty if no run has samples.
  static String html(List<RunFolder> runs) {
    StringBuilder html = new StringBuilder();
    for (RunFolder run : runs) {
      if (!run.samples().isEmpty()) {
        if (runs.size() > 1) {
          html.append("<h3>%s</h3>\n".formatted(Html.escape(run.name())));
        }
        html.append(matches(run.samples()));
        html.append(texts(run.samples()));
      }
    }
    return html.isEmpty() ? "" : "<h2>Samples</h2>\n" + html;
  }

  /// How many samples of each step were right, if any was judged.
  private static String matches(List<Sample> samples) {
    Map<Integer, int[]> counts = new TreeMap<>();
    for (Sample sample : samples) {
      Boolean match = sample.match();
      if (match != null) {
        int[] count = counts.computeIfAbsent(sample.step(), _ -> new int[2]);
        count[0] += match ? 1 : 0;
        count[1]++;
      }
    }
    StringBuilder html = new StringBuilder();
    counts.forEach((step, count) ->
        html.append(
            "<span class=\"match\">step %d: %d of %d match</span>\n"
                .formatted(step, count[0], count[1])));
    return html.isEmpty() ? "" : "<p>" + html + "</p>\n";
  }

  private static String texts(List<Sample> samples) {
    Map<String, List<Sample>> byPrompt = new LinkedHashMap<>();
    samples.forEach(
        sample -> byPrompt.computeIfAbsent(sample.prompt(), _ -> new ArrayList<>()).add(sample));
    StringBuilder html = new StringBuilder("<table class=\"samples\">\n");
    byPrompt.entrySet().stream()
        .limit(MOST_PROMPTS)
        .forEach(entry -> {
          html.append("<tr><th>prompt</th>")
              .append(Tables.cell("th", entry.getKey()))
              .append("</tr>\n");
          String expected = entry.getValue().getLast().expected();
          if (expected != null) {
            html.append("<tr><td>expected</td>")
                .append(Tables.cell("td", expected))
                .append("</tr>\n");
          }
          spread(entry.getValue()).forEach(sample -> html.append(row(sample)));
        });
    html.append("</table>\n");
    if (byPrompt.size() > MOST_PROMPTS) {
      html.append(
          "<p>%d more prompts are in %s.</p>\n"
              .formatted(byPrompt.size() - MOST_PROMPTS, RunFolder.SAMPLES));
    }
    return html.toString();
  }

  private static String row(Sample sample) {
    Boolean match = sample.match();
    String judged = match == null ? "" : match ? " class=\"right\"" : " class=\"wrong\"";
    return "<tr%s><td>step %d</td>%s</tr>\n"
        .formatted(judged, sample.step(), Tables.cell("td", sample.generated()));
  }

  /// The first, the last, and some between.
  private static List<Sample> spread(List<Sample> samples) {
    if (samples.size() <= MOST_STEPS) {
      return samples;
    }
    List<Sample> some = new ArrayList<>();
    for (int i = 0; i < MOST_STEPS; i++) {
      some.add(samples.get((int) ((long) i * (samples.size() - 1) / (MOST_STEPS - 1))));
    }
    return some;
  }
}
