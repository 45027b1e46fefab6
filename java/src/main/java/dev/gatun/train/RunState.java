package dev.gatun.train;

import dev.gatun.InputException;
import dev.gatun.io.JsonObject;
import dev.gatun.io.PythonJson;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/// The numbers a run needs to go on where a checkpoint was written: `run_state.json`.
///
/// @param step updates done; with the seeds it fixes which rows come next
/// @param optimizerSteps updates the optimiser counts
/// @param microBatches forward passes done: the counter behind dropout and noise
/// @param rowsSeen rows of all updates so far
/// @param evaluatedAt step of the last evaluation, -1 for none
/// @param elapsedSeconds time the run has taken so far
/// @param sums of [TrainerState] since the last log
/// @param files digest of every other file of the checkpoint, by name
record RunState(
    int step,
    long optimizerSteps,
    long microBatches,
    long tokensSeen,
    long rowsSeen,
    int evaluatedAt,
    double elapsedSeconds,
    TrainerState.Sums sums,
    RunIdentity identity,
    SortedMap<String, String> files) {
  static final String FILE = "run_state.json";
  private static final int FORMAT = 1;
  private static final String DIGEST = "sha256";

  /// The file's content; its last key is the digest of all others.
  String toJson() {
    Map<String, Object> json = fields();
    json.put(DIGEST, digest());
    return PythonJson.format(json) + "\n";
  }

  private String digest() {
    return FileDigests.of(PythonJson.format(fields()));
  }

  private Map<String, Object> fields() {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("format", FORMAT);
    json.put("step", step);
    json.put("optimizer_steps", optimizerSteps);
    json.put("micro_batches", microBatches);
    json.put("tokens_seen", tokensSeen);
    json.put("rows_seen", rowsSeen);
    json.put("evaluated_at", evaluatedAt);
    json.put("elapsed_seconds", elapsedSeconds);
    json.put("sums", sums.toMap());
    json.put("identity", identity.toMap());
    json.put("files", files);
    return json;
  }

  /// @throws InputException naming the file and the key that is missing or malformed
  static RunState read(Path directory) {
    JsonObject json = JsonObject.read(directory.resolve(FILE));
    int format = json.integer("format", 1, Integer.MAX_VALUE);
    if (format != FORMAT) {
      throw json.bad("format", "is %d, but this version reads %d".formatted(format, FORMAT));
    }
    JsonObject identity = nested(json, "identity");
    RunState state = read(json, identity);
    if (!state.digest().equals(json.string(DIGEST))) {
      throw new InputException(
          "%s is damaged: its content is not what was written".formatted(directory.resolve(FILE)));
    }
    return state;
  }

  private static RunState read(JsonObject json, JsonObject identity) {
    return new RunState(
        json.integer("step", 1, Integer.MAX_VALUE),
        count(json, "optimizer_steps"),
        count(json, "micro_batches"),
        count(json, "tokens_seen"),
        count(json, "rows_seen"),
        json.integer("evaluated_at", -1, Integer.MAX_VALUE),
        json.number("elapsed_seconds"),
        TrainerState.Sums.read(nested(json, "sums")),
        new RunIdentity(identity.string("version"), new TreeMap<>(identity.stringMap("digests"))),
        new TreeMap<>(json.stringMap("files")));
  }

  private static JsonObject nested(JsonObject json, String key) {
    JsonObject value = json.object(key);
    if (value == null) {
      throw json.bad(key, "is missing");
    }
    return value;
  }

  /// Counts stay below 2^53, so that a JSON number holds them.
  private static long count(JsonObject json, String key) {
    double value = json.number(key);
    if (value < 0 || value > 1L << 53 || value != Math.rint(value)) {
      throw json.bad(key, "is no count");
    }
    return (long) value;
  }
}
