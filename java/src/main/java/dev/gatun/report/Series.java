package dev.gatun.report;

import java.util.ArrayList;
import java.util.List;

/// One line of a chart.
///
/// @param points by ascending `x`
record Series(String name, List<Point> points) {
  private static final int MOST_POINTS = 300;

  Series {
    points = List.copyOf(points);
  }

  /// A measured value.
  record Point(double x, double y) {}

  /// The same shape in few points: of every stretch of the line its lowest and its highest.
  Series thinned() {
    if (points.size() <= MOST_POINTS) {
      return this;
    }
    List<Point> kept = new ArrayList<>();
    kept.add(points.getFirst());
    int stretches = MOST_POINTS / 2 - 1;
    int inner = points.size() - 2;
    for (int i = 0; i < stretches; i++) {
      int from = 1 + (int) ((long) inner * i / stretches);
      int to = 1 + (int) ((long) inner * (i + 1) / stretches);
      Point low = points.get(from);
      Point high = low;
      for (Point point : points.subList(from, to)) {
        low = point.y() < low.y() ? point : low;
        high = point.y() > high.y() ? point : high;
      }
      kept.add(low.x() <= high.x() ? low : high);
      if (low != high) {
        kept.add(low.x() <= high.x() ? high : low);
      }
    }
    kept.add(points.getLast());
    return new Series(name, kept);
  }
}
