package dev.gatun.train;

import dev.gatun.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// What a run trains from, so that another run continues it only if that is the same.
///
/// @param version of this program, `unpackaged` outside a jar
/// @param digests by part and file: `data/0/train.jsonl`, `base/model.safetensors`
record RunIdentity(String version, SortedMap<String, String> digests) {
  /// Keys that say where things are, how often something is written, when to stop or what memory is
  /// used for, which changes no bit; a run may continue under others. What lies at the paths is
  /// compared by content.
  private static final Set<String> FREE_KEYS =
      Set.of(
          "model_name_or_path",
          "tokenizer_name_or_path",
          "dataset_path",
          "eval_dataset_path",
          "adapter_name_or_path",
          "chat_template_path",
          "allow_findings",
          "cache_dir",
          "gradient_checkpointing",
          "activation_offloading",
          "memory_limit",
          "early_stopping_patience",
          "early_stopping_threshold",
          "report_to",
          "logging_dir",
          "output_dir",
          "overwrite_output_dir",
          "save_strategy",
          "save_steps",
          "save_total_limit",
          "save_only_model",
          "resume_from_checkpoint",
          "resume_force");

  /// Reads the files that a configuration names.
  ///
  /// @throws InputException if one cannot be read
  static RunIdentity of(SftConfig config) {
    SortedMap<String, String> digests = new TreeMap<>();
    add(digests, "data", config.data().datasetPath());
    add(digests, "evaluation data", config.data().evalDatasetPath());
    add(digests, "adapter", optional(config.model().adapterNameOrPath()));
    add(digests, "chat template", optional(config.data().chat().templatePath()));
    Path model = config.model().modelNameOrPath();
    for (Path file : files(model)) {
      String name = file.getFileName().toString();
      if (name.equals("config.json") || name.endsWith(".safetensors")) {
        digests.put("base/" + name, FileDigests.sampled(file));
      }
    }
    for (Path file : RunDirectory.tokenizerFiles(config.model().tokenizer())) {
      digests.put("tokenizer/" + file.getFileName(), FileDigests.whole(file));
    }
    String version = RunIdentity.class.getPackage().getImplementationVersion();
    return new RunIdentity(version == null ? "unpackaged" : version, digests);
  }

  private static List<Path> optional(@Nullable Path path) {
    return path == null ? List.of() : List.of(path);
  }

  private static void add(SortedMap<String, String> digests, String part, List<Path> paths) {
    for (int i = 0; i < paths.size(); i++) {
      for (Path file : files(paths.get(i))) {
        digests.put("%s/%d/%s".formatted(part, i, file.getFileName()), FileDigests.whole(file));
      }
    }
  }

  private static List<Path> files(Path path) {
    if (!Files.isDirectory(path)) {
      return List.of(path);
    }
    try (Stream<Path> entries = Files.list(path)) {
      return entries.filter(Files::isRegularFile).sorted().toList();
    } catch (IOException e) {
      throw new InputException("%s cannot be read".formatted(path), e);
    }
  }

  /// What differs, each by name; empty if a run may continue.
  ///
  /// @param saved identity that a checkpoint holds
  static List<String> differences(
      RunIdentity now, SftConfig config, RunIdentity saved, SftConfig savedConfig) {
    List<String> differences = new ArrayList<>();
    SortedSet<String> names = new TreeSet<>(saved.digests.keySet());
    names.addAll(now.digests.keySet());
    for (String name : names) {
      @Nullable String before = saved.digests.get(name);
      @Nullable String after = now.digests.get(name);
      if (before == null) {
        differences.add("%s was not there".formatted(name));
      } else if (after == null) {
        differences.add("%s is missing".formatted(name));
      } else if (!before.equals(after)) {
        differences.add("%s has other content".formatted(name));
      }
    }
    for (ConfigKey<?> key : ConfigKeys.ALL) {
      Object before = key.plain(savedConfig);
      Object after = key.plain(config);
      if (!FREE_KEYS.contains(key.name()) && !Objects.equals(before, after)) {
        differences.add("%s was %s and is %s".formatted(key.name(), before, after));
      }
    }
    return differences;
  }

  Map<String, Object> toMap() {
    return new TreeMap<>(Map.of("version", version, "digests", digests));
  }
}
