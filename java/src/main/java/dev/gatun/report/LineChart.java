package dev.gatun.report;

import java.util.List;
import java.util.Locale;
import java.util.function.DoubleUnaryOperator;

/// Lines over training steps, as inline SVG. Every point says its value when the pointer rests on
/// it, by a `title` element.
///
/// @param fromZero whether the vertical axis begins at 0
record LineChart(String title, boolean fromZero, List<Series> series) {
  private static final int WIDTH = 560;
  private static final int HEIGHT = 230;
  private static final int LEFT = 62;
  private static final int RIGHT = 14;
  private static final int TOP = 12;
  private static final int BOTTOM = 26;

  /// Where values lie.
  private record Range(double low, double high) {
    static Range of(List<Series> series, boolean horizontal, boolean fromZero) {
      double low = Double.POSITIVE_INFINITY;
      double high = Double.NEGATIVE_INFINITY;
      for (Series each : series) {
        for (Series.Point point : each.points()) {
          double value = horizontal ? point.x() : point.y();
          low = Math.min(low, value);
          high = Math.max(high, value);
        }
      }
      if (fromZero) {
        low = Math.min(0, low);
        high = Math.max(0, high);
      }
      if (low == high) {
        double margin = low == 0 ? 1 : Math.abs(low) / 10;
        return new Range(low - (fromZero ? 0 : margin), high + margin);
      }
      double margin = horizontal ? 0 : (high - low) * 0.04;
      return new Range(fromZero ? low : low - margin, high + margin);
    }

    DoubleUnaryOperator onto(double from, double to) {
      return value -> from + (value - low) / (high - low) * (to - from);
    }
  }

  boolean isEmpty() {
    return series.stream().allMatch(each -> each.points().isEmpty());
  }

  String svg() {
    List<Series> drawn = series.stream().map(Series::thinned).toList();
    Range steps = Range.of(drawn, true, false);
    Range values = Range.of(drawn, false, fromZero);
    DoubleUnaryOperator x = steps.onto(LEFT, WIDTH - RIGHT);
    DoubleUnaryOperator y = values.onto(HEIGHT - BOTTOM, TOP);
    StringBuilder svg = new StringBuilder();
    svg.append(
        "<svg class=\"chart\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n"
            .formatted(WIDTH, HEIGHT, Html.escape(title)));
    for (double tick : Numbers.ticks(values.low(), values.high(), 5)) {
      double at = y.applyAsDouble(tick);
      svg.append(
          format(
              "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>",
              LEFT, WIDTH - RIGHT, at, at));
      svg.append(
          format(
              "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
              LEFT - 6, at + 4, Numbers.brief(tick)));
    }
    for (double tick : Numbers.ticks(steps.low(), steps.high(), 6)) {
      if (tick == Math.rint(tick)) {
        svg.append(
            format(
                "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
                x.applyAsDouble(tick), HEIGHT - 8, Numbers.brief(tick)));
      }
    }
    for (int i = 0; i < drawn.size(); i++) {
      if (!drawn.get(i).points().isEmpty()) {
        line(svg, drawn.get(i), i, x, y);
      }
    }
    return svg.append("</svg>\n").toString();
  }

  private static void line(
      StringBuilder svg, Series series, int index, DoubleUnaryOperator x, DoubleUnaryOperator y) {
    svg.append("<g class=\"c%d\"><polyline points=\"".formatted(index % Page.COLORS));
    for (Series.Point point : series.points()) {
      svg.append(format("%.1f,%.1f ", x.applyAsDouble(point.x()), y.applyAsDouble(point.y())));
    }
    svg.setLength(svg.length() - 1);
    svg.append("\"/>");
    // A line of few points shows them, a line of one point would not be seen otherwise.
    int radius = series.points().size() <= 12 ? 3 : 6;
    String kind = series.points().size() <= 12 ? "dot" : "spot";
    for (Series.Point point : series.points()) {
      svg.append(
          format(
              "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%d\"><title>%s, step %s: %s</title></circle>",
              kind,
              x.applyAsDouble(point.x()),
              y.applyAsDouble(point.y()),
              radius,
              Html.escape(series.name()),
              whole(point.x()),
              Numbers.brief(point.y())));
    }
    svg.append("</g>\n");
  }

  private static String whole(double step) {
    return Long.toString(Math.round(step));
  }

  private static String format(String pattern, Object... values) {
    return String.format(Locale.ROOT, pattern, values);
  }
}
