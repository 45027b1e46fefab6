package dev.gatun.conformance;

import dev.gatun.InputException;
import dev.gatun.data.BatchTensors;
import dev.gatun.data.ChatOptions;
import dev.gatun.data.DataCollator;
import dev.gatun.data.Dataset;
import dev.gatun.data.OverlongPolicy;
import dev.gatun.data.PackedBatch;
import dev.gatun.data.PackingStrategy;
import dev.gatun.data.PreparedDataset;
import dev.gatun.data.SampleOrder;
import dev.gatun.data.SftDataOptions;
import dev.gatun.data.SftPreparation;
import dev.gatun.text.Tokenizer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// `sft/tokenise/`: prepared rows and the first batch, exactly, or the refusal of a bad request.
public final class SftTokenisePart implements Part {
  /// What the kit's generator sets where a case says nothing.
  private static final int KIT_MAX_LENGTH = 256;

  @Override
  public String name() {
    return "sft/tokenise";
  }

  @Override
  public List<Case> cases(Path kit) {
    List<Case> cases = new ArrayList<>();
    for (Path folder : KitFiles.directories(kit.resolve(name()), "expected.json")) {
      cases.add(
          Part.named(folder.getFileName().toString(), (checks, _) -> run(kit, folder, checks)));
    }
    return cases;
  }

  private static void run(Path kit, Path folder, Checks checks) {
    JsonNode expected = KitFiles.json(folder.resolve("expected.json"));
    Dataset dataset = Dataset.open(folder.resolve("dataset.jsonl"));
    Path template = folder.resolve("chat_template.jinja");
    ChatOptions chat =
        ChatOptions.unmapped().withTemplatePath(Files.isRegularFile(template) ? template : null);
    try (Tokenizer tokenizer =
            Tokenizer.open(kit.resolve(expected.path("tokenizer").stringValue()));
        PreparedDataset rows =
            SftPreparation.prepare(
                dataset, tokenizer, options(expected.path("config")).withChat(chat))) {
      if (DerivedSpans.applyTo(expected)) {
        DerivedSpans.check(rows, dataset, tokenizer, checks);
        return;
      }
      checks.that("error", !expected.has("error"), "accepted");
      compare(rows, KitFiles.jsonLines(folder.resolve("rows.jsonl")), checks);
      firstBatch(rows, expected, checks);
      checks.equal("rows read", rows.report().sourceRows(), expected.path("rows_in").asLong());
    } catch (InputException e) {
      checks.that("refused", expected.has("error"), e.getMessage());
    }
  }

  private static SftDataOptions options(JsonNode config) {
    JsonNode maxLength = config.path("max_length");
    JsonNode completionOnly = config.path("completion_only_loss");
    return new SftDataOptions(
        config.path("dataset_text_field").asString("text"),
        maxLength.isNull() ? null : Integer.valueOf(maxLength.asInt(KIT_MAX_LENGTH)),
        config.path("packing").asBoolean(false),
        PackingStrategy.parse(config.path("packing_strategy").asString("bfd")),
        completionOnly.isBoolean() ? completionOnly.booleanValue() : null,
        config.path("assistant_only_loss").asBoolean(false),
        config.path("shuffle_dataset").asBoolean(false),
        config.path("seed").asLong(42),
        config.path("padding_free").asBoolean(false),
        OverlongPolicy.TRUNCATE,
        ChatOptions.unmapped());
  }

  private static void compare(PreparedDataset rows, List<JsonNode> golden, Checks checks) {
    checks.equal("rows", rows.size(), golden.size());
    Differences ids = new Differences();
    Differences labels = new Differences();
    Differences lengths = new Differences();
    for (int row = 0; row < Math.min(rows.size(), golden.size()); row++) {
      JsonNode expected = golden.get(row);
      String label = "row " + row;
      ids.compare(label, rows.inputIds(row), KitFiles.ints(expected.path("input_ids")));
      labels.compare(label, rows.labels(row), KitFiles.ints(expected.path("labels")));
      int[] whole = {rows.length(row)};
      lengths.compare(
          label,
          rows.sequenceLengths(row),
          expected.has("seq_lengths") ? KitFiles.ints(expected.path("seq_lengths")) : whole);
    }
    ids.record(checks, "input_ids");
    labels.record(checks, "labels");
    lengths.record(checks, "seq_lengths");
  }

  private static void firstBatch(PreparedDataset rows, JsonNode expected, Checks checks) {
    JsonNode golden = expected.path("first_batch_of_3");
    int[] first = Arrays.copyOf(SampleOrder.sequential(rows.size()), Math.min(3, rows.size()));
    PackedBatch batch = DataCollator.collate(rows, first);
    int pad = expected.path("pad_token_id").asInt();
    BatchTensors tensors =
        golden.has("position_ids")
            ? BatchTensors.flattened(batch, pad, 1)
            : BatchTensors.padded(batch, pad, 1, false);
    SftCollatorPart.compare(tensors, golden, checks);
  }
}
