package dev.gatun.data;

import dev.gatun.text.Tokenizer;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Counts what trained rows end with.
final class Endings {
  /// Rows that end with the same few tokens show it early; texts that all end differently need not
  /// be told apart.
  private static final int MOST_TOKENS = 4096;

  private final Map<Integer, Long> rows = new HashMap<>();

  void add(int[] labels) {
    for (int t = labels.length - 1; t > 0; t--) {
      if (labels[t] >= 0) {
        if (rows.size() < MOST_TOKENS || rows.containsKey(labels[t])) {
          rows.merge(labels[t], 1L, Long::sum);
        }
        return;
      }
    }
  }

  DataFigures.@Nullable Ending commonest(Tokenizer tokenizer) {
    return rows.entrySet().stream()
        .max(
            Map.Entry.<Integer, Long>comparingByValue()
                .thenComparing(Map.Entry.comparingByKey(Comparator.reverseOrder())))
        .map(entry ->
            new DataFigures.Ending(
                entry.getKey(),
                tokenizer.decode(new int[] {entry.getKey()}, false),
                entry.getValue()))
        .orElse(null);
  }
}
