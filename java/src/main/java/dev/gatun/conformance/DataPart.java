package dev.gatun.conformance;

import dev.gatun.InputException;
import dev.gatun.data.Dataset;
import dev.gatun.data.ExampleReader;
import dev.gatun.data.Row;
import dev.gatun.data.RowReader;
import dev.gatun.data.SftDataOptions;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;

/// `data/`: every file of `files.json` is read and compared with the JSON Lines file of the same
/// rows; every file of `malformed/expected.json` is accepted or refused as it says.
public final class DataPart implements Part {
  private static final Pattern LINE = Pattern.compile("line (\\d+)");
  private static final Pattern ROWS = Pattern.compile("(\\d+) rows");

  @Override
  public String name() {
    return "data";
  }

  @Override
  public List<Case> cases(Path kit) {
    Path folder = kit.resolve(name());
    List<Case> cases = new ArrayList<>();
    Path files = folder.resolve("files.json");
    if (Files.isRegularFile(files)) {
      for (Map.Entry<String, JsonNode> entry : KitFiles.json(files).properties()) {
        Path file = folder.resolve(entry.getKey());
        cases.add(Part.named(entry.getKey(), (checks, _) -> read(file, entry.getValue(), checks)));
      }
    }
    Path malformed = folder.resolve("malformed");
    Path expected = malformed.resolve("expected.json");
    if (Files.isRegularFile(expected)) {
      for (Map.Entry<String, JsonNode> entry : KitFiles.json(expected).properties()) {
        cases.add(
            Part.named(
                "malformed/" + entry.getKey(),
                (checks, _) ->
                    malformed(malformed.resolve(entry.getKey()), entry.getValue(), checks)));
      }
    }
    return cases;
  }

  private static void read(Path file, JsonNode entry, Checks checks) {
    String note = entry.path("note").asString("");
    List<Row> rows;
    try {
      rows = Dataset.open(file).head(Integer.MAX_VALUE);
    } catch (InputException e) {
      // The kit allows some formats to be refused, which is then something we lack.
      if (note.contains("may be refused") || isStringView(entry)) {
        checks.notSupported(e.getMessage());
        return;
      }
      throw e;
    }
    checks.equal("rows", rows.size(), entry.path("rows").asInt());
    List<Row> same = sameRows(file, rows.size());
    Differences differences = new Differences();
    for (int i = 0; i < Math.min(rows.size(), same.size()); i++) {
      differences.compare("row " + i, rows.get(i).columns(), same.get(i).columns());
    }
    if (!rows.isEmpty()) {
      differences.record(checks, "values");
    }
  }

  private static boolean isStringView(JsonNode entry) {
    return entry.path("schema").valueStream().anyMatch(f -> f.asString("").contains("_view"));
  }

  /// The JSON Lines file that holds the same rows: the one named like this one up to its first dot.
  private static List<Row> sameRows(Path file, int rows) {
    String name = file.getFileName().toString();
    String stem = name.contains(".") ? name.substring(0, name.indexOf('.')) : "slice";
    Path lines = file.resolveSibling(stem + ".jsonl");
    return Files.isRegularFile(lines) ? Dataset.open(lines).head(rows) : List.of();
  }

  private static void malformed(Path file, JsonNode entry, Checks checks) {
    String expected = entry.path("expected").asString("").toLowerCase(Locale.ROOT);
    String refusal;
    int rows = 0;
    try (RowReader reader = Dataset.open(file).reader()) {
      Row first = reader.next();
      if (first == null) {
        throw new InputException(file + " has no rows.");
      }
      ExampleReader examples = new ExampleReader(first, SftDataOptions.defaults());
      for (Row row = first; row != null; row = reader.next()) {
        examples.read(row);
        rows++;
      }
      refusal = "";
    } catch (InputException e) {
      refusal = e.getMessage();
    }
    boolean mayAccept = expected.startsWith("accepted") || expected.contains("or the last value");
    boolean mayRefuse = expected.contains("error");
    if (refusal.isEmpty()) {
      checks.that("accepted", mayAccept, "accepted; expected: " + expected);
      acceptedRows(file, rows, expected, checks);
    } else {
      checks.that("refused", mayRefuse, refusal);
      namesThePlace(file, refusal, entry, checks);
    }
  }

  private static void acceptedRows(Path file, int rows, String expected, Checks checks) {
    Matcher count = ROWS.matcher(expected);
    if (count.find()) {
      checks.equal("rows", rows, Integer.parseInt(count.group(1)));
    }
    boolean carriageReturn =
        Dataset.open(file).head(Integer.MAX_VALUE).stream()
            .flatMap(row -> row.columns().values().stream())
            .anyMatch(value -> value instanceof String text && text.endsWith("\r"));
    checks.that("no carriage return in a value", !carriageReturn, file.getFileName().toString());
  }

  private static void namesThePlace(Path file, String refusal, JsonNode entry, Checks checks) {
    checks.that("names the file", refusal.contains(file.getFileName().toString()), refusal);
    Stream.of(entry.path("where").asString(""), entry.path("expected").asString(""))
        .map(LINE::matcher)
        .filter(Matcher::find)
        .findFirst()
        .ifPresent(
            line -> checks.that("names " + line.group(), refusal.contains(line.group()), refusal));
  }
}
