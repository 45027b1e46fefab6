package dev.gatun.train;

import dev.gatun.InputException;
import dev.gatun.io.JsonObject;
import dev.gatun.io.SafeTensors;
import dev.gatun.io.SafeTensorsWriter;
import dev.gatun.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// A `checkpoint-N` directory that a run can go on from: beside the model,
/// `training_state.safetensors` (F32 parameters and the optimiser's state), `trainer_state.json`,
/// `metrics.jsonl`, `samples.jsonl` if there are samples, `config.yaml`, and `run_state.json`,
/// which is written last and holds a digest of every other file.
///
/// @param path the directory
/// @param state read and checked
record RunCheckpoint(Path path, RunState state) {
  static final String TENSORS = "training_state.safetensors";
  static final String CONFIG = "config.yaml";
  static final String METRICS = "metrics.jsonl";
  static final String SAMPLES = "samples.jsonl";
  static final String TRAINER_STATE = "trainer_state.json";
  private static final Pattern FILE_NAME = Pattern.compile("\\w[\\w.-]*");
  private static final String PARAMETER = "parameter.";
  private static final String OPTIMIZER = "optimizer.";

  /// Tensors of a session: F32 parameters by name, optimiser state by `KIND.PARAMETER`.
  record Tensors(Map<String, Tensor> parameters, Map<String, Tensor> optimizer) {
    void write(Path directory) {
      Map<String, Tensor> all = new TreeMap<>();
      parameters.forEach((name, value) -> all.put(PARAMETER + name, value));
      optimizer.forEach((name, value) -> all.put(OPTIMIZER + name, value));
      SafeTensorsWriter.write(directory.resolve(TENSORS), all, Map.of("format", "pt"));
    }
  }

  /// Digests of all files in `directory`.
  static SortedMap<String, String> digests(Path directory) {
    SortedMap<String, String> digests = new TreeMap<>();
    for (Path file : list(directory)) {
      String name = file.getFileName().toString();
      if (Files.isRegularFile(file) && !name.equals(RunState.FILE)) {
        digests.put(name, FileDigests.whole(file));
      }
    }
    return digests;
  }

  /// Opens a checkpoint and compares every file with its digest.
  ///
  /// @throws InputException if a file is missing, damaged or half-written
  static RunCheckpoint open(Path path) {
    if (!Files.isDirectory(path)) {
      throw new InputException("%s is not a directory; name a checkpoint-N".formatted(path));
    }
    if (!Files.exists(path.resolve(RunState.FILE))) {
      throw new InputException(
          "%s has no %s: it holds a model but no training state (save_only_model), or was not written to its end"
              .formatted(path, RunState.FILE));
    }
    RunState state = RunState.read(path);
    Set<String> required = new TreeSet<>(List.of(TENSORS, CONFIG, TRAINER_STATE));
    required.removeAll(state.files().keySet());
    if (!required.isEmpty()) {
      throw new InputException(
          "%s does not list %s"
              .formatted(path.resolve(RunState.FILE), String.join(", ", required)));
    }
    state
        .files()
        .forEach((name, digest) -> {
          if (!FILE_NAME.matcher(name).matches()) {
            throw new InputException(
                "%s lists the path %s, not a file name"
                    .formatted(path.resolve(RunState.FILE), name));
          }
          if (!FileDigests.whole(path.resolve(name)).equals(digest)) {
            throw new InputException(
                "%s is damaged: its content is not what was written".formatted(path.resolve(name)));
          }
        });
    return new RunCheckpoint(path, state);
  }

  /// Gives a session the parameters, the optimiser state and the counters.
  ///
  /// @throws InputException if a tensor is missing or does not fit
  void restore(TrainingSession session) {
    try (SafeTensors file = SafeTensors.open(path.resolve(TENSORS))) {
      Map<String, Tensor> parameters = new LinkedHashMap<>();
      Map<String, Tensor> optimizer = new LinkedHashMap<>();
      for (String name : file.names()) {
        if (name.startsWith(PARAMETER)) {
          parameters.put(name.substring(PARAMETER.length()), file.tensor(name));
        } else if (name.startsWith(OPTIMIZER)) {
          optimizer.put(name.substring(OPTIMIZER.length()), file.tensor(name));
        } else {
          throw new InputException("%s: tensor %s is unknown".formatted(file.path(), name));
        }
      }
      session.restore(new Tensors(parameters, optimizer), state);
    } catch (IllegalArgumentException e) {
      throw new InputException("%s does not fit this run: %s".formatted(path, e.getMessage()), e);
    }
  }

  /// The directory of the run it belongs to.
  Path directory() {
    return path.resolveSibling("");
  }

  SftConfig config() {
    return SftConfigReader.read(path.resolve(CONFIG), List.of()).config();
  }

  JsonObject trainerState() {
    return JsonObject.read(path.resolve(TRAINER_STATE));
  }

  /// The lines of `metrics.jsonl` up to this checkpoint.
  String metrics() {
    try {
      return Files.readString(path.resolve(METRICS));
    } catch (IOException e) {
      throw new InputException("%s cannot be read".formatted(path.resolve(METRICS)), e);
    }
  }

  /// The lines of `samples.jsonl` up to this checkpoint; empty if there were none.
  String samples() {
    Path file = path.resolve(SAMPLES);
    try {
      return Files.exists(file) ? Files.readString(file) : "";
    } catch (IOException e) {
      throw new InputException("%s cannot be read".formatted(file), e);
    }
  }

  static List<Path> list(Path directory) {
    try (Stream<Path> entries = Files.list(directory)) {
      return entries.sorted().toList();
    } catch (IOException e) {
      throw new InputException("%s cannot be read".formatted(directory), e);
    }
  }
}
