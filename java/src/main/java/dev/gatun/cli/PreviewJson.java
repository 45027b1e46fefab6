package dev.gatun.cli;

import dev.gatun.data.DataFigures;
import dev.gatun.data.DataFinding;
import dev.gatun.data.EvaluationRows;
import dev.gatun.data.PreparationReport;
import dev.gatun.data.PreparedDataset;
import dev.gatun.data.TrainedText;
import java.util.List;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.PropertyNamingStrategies;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// What `gatun preview --json` writes: one object with every figure of [PreparationReport] under
/// its name in snake case, and shares from 0 to 1.
final class PreviewJson {
  private static final JsonMapper JSON =
      JsonMapper.builder()
          .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
          .enable(SerializationFeature.INDENT_OUTPUT)
          .build();

  private PreviewJson() {}

  /// A row that is shown.
  ///
  /// @param row number of the prepared row, from 1
  /// @param samples one of a row that was not packed
  record ShownRow(
      int row, String source, int tokens, int trainedTokens, List<TrainedText> samples) {}

  /// @param padding share of padding if batches were padded, or null if rows are packed
  static String of(
      PreparedDataset training,
      @Nullable Double padding,
      List<EvaluationRows> evaluation,
      List<DataFinding> findings,
      List<ShownRow> shown) {
    ObjectNode root = JSON.createObjectNode();
    root.set("training", figures(training.report()).put("padding_if_padded", padding));
    root.set("evaluation", evaluation(evaluation));
    root.set(
        "findings",
        JSON.valueToTree(
            findings.stream()
                .map(finding ->
                    JSON.createObjectNode()
                        .put("kind", finding.kind().configName())
                        .put("message", finding.message())
                        .put("stops", finding.stops()))
                .toList()));
    root.set("rows", JSON.valueToTree(shown));
    return JSON.writeValueAsString(root);
  }

  /// Figures of the one without a name, or by name; null for none.
  private static @Nullable ObjectNode evaluation(List<EvaluationRows> data) {
    ObjectNode byName = JSON.createObjectNode();
    for (EvaluationRows each : data) {
      ObjectNode figures = figures(each.rows().report());
      if (each.name().isEmpty()) {
        return figures;
      }
      byName.set(each.name(), figures);
    }
    return byName.isEmpty() ? null : byName;
  }

  private static ObjectNode figures(PreparationReport report) {
    ObjectNode node = JSON.valueToTree(report);
    DataFigures.Packing packing = report.figures().packing();
    return node.put("trained_token_share", share(report.trainedTokens(), report.tokens()))
        .put("truncated_row_share", share(report.truncatedRows(), report.sourceRows()))
        .put("untrained_row_share", share(report.droppedUntrained(), report.sourceRows()))
        .put("eos_trained_row_share", share(report.eosTrainedRows(), report.keptRows()))
        .put("double_bos_row_share", share(report.doubleBosRows(), report.sourceRows()))
        .put("repeated_row_share", share(report.figures().repeatedRows(), report.keptRows()))
        .put("packing_filled", packing == null ? null : packing.filled());
  }

  private static double share(long part, long whole) {
    return whole == 0 ? 0 : (double) part / whole;
  }
}
