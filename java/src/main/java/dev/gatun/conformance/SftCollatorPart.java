package dev.gatun.conformance;

import dev.gatun.data.BatchTensors;
import dev.gatun.data.DataCollator;
import dev.gatun.data.PackedBatch;
import dev.gatun.data.PreparedDataset;
import dev.gatun.data.SampleOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/// `sft/collator/`: the collator's tensors, exactly, and the number of targets in them.
public final class SftCollatorPart implements Part {
  @Override
  public String name() {
    return "sft/collator";
  }

  @Override
  public List<Case> cases(Path kit) {
    List<Case> cases = new ArrayList<>();
    for (Path file : KitFiles.files(kit.resolve(name()), ".json")) {
      String stem = file.getFileName().toString().replace(".json", "");
      JsonNode entries = KitFiles.json(file).path("cases");
      for (int i = 0; i < entries.size(); i++) {
        JsonNode entry = entries.get(i);
        cases.add(Part.named(stem + "/" + i, (checks, _) -> run(entry, checks)));
      }
    }
    return cases;
  }

  private static void run(JsonNode entry, Checks checks) {
    JsonNode args = entry.path("args");
    List<JsonNode> examples = entry.path("examples").valueStream().toList();
    PreparedDataset dataset =
        PreparedDataset.of(
            ints(examples, "input_ids"), ints(examples, "labels"), ints(examples, "seq_lengths"));
    PackedBatch batch = DataCollator.collate(dataset, SampleOrder.sequential(dataset.size()));
    int pad = args.path("pad_token_id").asInt();
    int multiple = args.path("pad_to_multiple_of").asInt(1);
    boolean flat = args.path("padding_free").asBoolean(false);
    BatchTensors tensors =
        flat
            ? BatchTensors.flattened(batch, pad, multiple)
            : BatchTensors.padded(
                batch, pad, multiple, args.path("return_position_ids").asBoolean(false));
    compare(tensors, entry.path("output"), checks);
    if (flat) {
      checks.equal("targets", batch.targetCount(), targets(entry.path("output").path("labels")));
    }
  }

  /// Compares what the golden has, and that nothing else is made.
  static void compare(BatchTensors tensors, JsonNode output, Checks checks) {
    compare("input_ids", tensors.inputIds(), output, checks);
    compare("labels", tensors.labels(), output, checks);
    compare("position_ids", tensors.positionIds(), output, checks);
    compare("attention_mask", tensors.attentionMask(), output, checks);
  }

  private static void compare(
      String name, int @Nullable [][] actual, JsonNode output, Checks checks) {
    if (actual == null || !output.has(name)) {
      checks.equal(name + " present", actual != null, output.has(name));
      return;
    }
    Differences differences = new Differences();
    differences.compare("rows", actual.length, output.path(name).size());
    for (int row = 0; row < Math.min(actual.length, output.path(name).size()); row++) {
      differences.compare("row " + row, actual[row], KitFiles.ints(output.path(name).get(row)));
    }
    differences.record(checks, name);
  }

  private static int targets(JsonNode labels) {
    int count = 0;
    for (JsonNode row : labels) {
      for (int t = 1; t < row.size(); t++) {
        count += row.get(t).asInt() != PackedBatch.IGNORE_INDEX ? 1 : 0;
      }
    }
    return count;
  }

  private static int[][] ints(List<JsonNode> examples, String column) {
    return examples.stream().map(example -> ints(example, column)).toArray(int[][]::new);
  }

  private static int[] ints(JsonNode example, String column) {
    if (example.has(column)) {
      return KitFiles.ints(example.path(column));
    }
    int[] ids = KitFiles.ints(example.path("input_ids"));
    return column.equals("labels") ? ids : new int[] {ids.length};
  }
}
