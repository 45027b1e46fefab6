package dev.gatun.report;

import java.util.List;
import java.util.Locale;

/// Bars side by side, as inline SVG.
///
/// @param bars from left to right
/// @param color index of the colour
record BarChart(String title, List<Bar> bars, int color) {
  private static final int WIDTH = 560;
  private static final int HEIGHT = 200;
  private static final int LEFT = 62;
  private static final int RIGHT = 14;
  private static final int TOP = 12;
  private static final int BOTTOM = 26;

  /// @param label below it; may be empty
  /// @param title what it says when the pointer rests on it
  record Bar(String label, String title, double value) {}

  String svg() {
    double high = bars.stream().mapToDouble(Bar::value).max().orElse(0);
    high = high == 0 ? 1 : high * 1.04;
    double width = (double) (WIDTH - LEFT - RIGHT) / Math.max(1, bars.size());
    int height = HEIGHT - TOP - BOTTOM;
    StringBuilder svg = new StringBuilder();
    svg.append(
        "<svg class=\"chart\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n"
            .formatted(WIDTH, HEIGHT, Html.escape(title)));
    for (double tick : Numbers.ticks(0, high, 4)) {
      double y = TOP + height * (1 - tick / high);
      svg.append(
          String.format(
              Locale.ROOT,
              "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/><text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
              LEFT,
              WIDTH - RIGHT,
              y,
              y,
              LEFT - 6,
              y + 4,
              Numbers.brief(tick)));
    }
    svg.append("<g class=\"c%d\">".formatted(color % Page.COLORS));
    for (int i = 0; i < bars.size(); i++) {
      Bar bar = bars.get(i);
      double tall = height * bar.value() / high;
      svg.append(
          String.format(
              Locale.ROOT,
              "<rect class=\"bar\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>%s</title></rect>\n",
              LEFT + i * width + width * 0.06,
              TOP + height - tall,
              width * 0.88,
              tall,
              Html.escape(bar.title())));
      if (!bar.label().isEmpty()) {
        svg.append(
            String.format(
                Locale.ROOT,
                "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
                LEFT + (i + 0.5) * width,
                HEIGHT - 8,
                Html.escape(bar.label())));
      }
    }
    return svg.append("</g></svg>\n").toString();
  }
}
