package dev.gatun.conformance;

import dev.gatun.data.Dataset;
import dev.gatun.data.PackedBatch;
import dev.gatun.data.PreparedDataset;
import dev.gatun.data.Row;
import dev.gatun.text.Tokenizer;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.JsonNode;

/// The one request of the kit that TRL refuses and this engine grants: `assistant_only_loss` with a
/// template that marks nothing. What is trained must then be the assistant's lines and nobody
/// else's, which the data itself tells. The kit's template has no generation prompt, so that the
/// name in front of a line is the assistant's to write.
final class DerivedSpans {
  private DerivedSpans() {}

  static boolean applyTo(JsonNode expected) {
    return expected.path("error").path("message").asString("").contains("{% generation %}");
  }

  static void check(PreparedDataset rows, Dataset dataset, Tokenizer tokenizer, Checks checks) {
    List<Row> source = dataset.head(Integer.MAX_VALUE);
    checks.equal("rows", rows.size(), source.size());
    Differences trained = new Differences();
    for (int row = 0; row < Math.min(rows.size(), source.size()); row++) {
      int[] labels = rows.labels(row);
      StringBuilder text = new StringBuilder();
      for (int label : labels) {
        if (label != PackedBatch.IGNORE_INDEX) {
          text.append(tokenizer.decode(new int[] {label}, false));
        }
      }
      trained.compare("row " + row, text.toString(), said(source.get(row)));
    }
    trained.record(checks, "trained text");
  }

  /// The assistant's lines as the kit's template writes them.
  private static String said(Row row) {
    StringBuilder text = new StringBuilder();
    if (row.value("messages") instanceof List<?> messages) {
      for (Object message : messages) {
        if (message instanceof Map<?, ?> map && "assistant".equals(map.get("role"))) {
          text.append("assistant: ").append(map.get("content")).append('\n');
        }
      }
    }
    return text.toString();
  }
}
