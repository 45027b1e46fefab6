package dev.gatun.train;

import dev.gatun.InputException;
import dev.gatun.io.PathText;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/// Where a run begins: at a checkpoint or at the start.
///
/// @param checkpoint null for the start
/// @param notices what the user should know about the choice
record Resumption(@Nullable RunCheckpoint checkpoint, List<String> notices) {
  /// The newest good checkpoint of `output_dir`.
  static final String LAST = "last";

  private static final Pattern NAME = Pattern.compile("checkpoint-(\\d{1,9})");

  /// Updates that were made before.
  int step() {
    return checkpoint == null ? 0 : checkpoint.state().step();
  }

  private static Path path(String wanted) {
    Path path = PathText.parse(wanted);
    if (path == null) {
      throw new InputException(
          "resume_from_checkpoint: '" + wanted + "' can be no path on this system");
    }
    return path;
  }

  /// Chooses as `resume_from_checkpoint` says.
  ///
  /// @throws InputException if the named checkpoint is damaged, if none of several is good, or if
  ///   data, tokenizer, base model or configuration differ and `resume_force` is not set
  static Resumption choose(SftConfig config) {
    String wanted = config.output().resumeFromCheckpoint();
    if (wanted == null) {
      return new Resumption(null, List.of());
    }
    List<String> notices = new ArrayList<>();
    RunCheckpoint checkpoint =
        wanted.equals(LAST)
            ? newest(config.output().outputDir(), notices)
            : RunCheckpoint.open(path(wanted));
    if (checkpoint != null) {
      requireSame(config, checkpoint, notices);
      notices.add(
          "going on after update %d from %s"
              .formatted(checkpoint.state().step(), checkpoint.path()));
    }
    return new Resumption(checkpoint, List.copyOf(notices));
  }

  private static @Nullable RunCheckpoint newest(Path output, List<String> notices) {
    List<Path> candidates = checkpoints(output);
    for (Path candidate : candidates.reversed()) {
      try {
        return RunCheckpoint.open(candidate);
      } catch (InputException e) {
        notices.add("%s is skipped: %s".formatted(candidate, e.getMessage()));
      }
    }
    if (!candidates.isEmpty()) {
      throw new InputException(
          "no checkpoint in %s can be resumed: %s; begin again in another output_dir"
              .formatted(output, String.join("; ", notices)));
    }
    notices.add("%s has no checkpoint yet, so the run begins at the start".formatted(output));
    return null;
  }

  /// Directories named `checkpoint-N`, by ascending N.
  static List<Path> checkpoints(Path output) {
    if (!Files.isDirectory(output)) {
      return List.of();
    }
    return RunCheckpoint.list(output).stream()
        .filter(path -> step(path) > 0 && Files.isDirectory(path))
        .sorted(Comparator.comparingInt(Resumption::step))
        .toList();
  }

  /// The path of a `checkpoint-N`; null if the text is none.
  static @Nullable Path checkpoint(String text) {
    try {
      Path path = Path.of(text);
      return step(path) > 0 ? path : null;
    } catch (InvalidPathException _) {
      return null;
    }
  }

  /// N of `checkpoint-N`, 0 for other names.
  static int step(Path path) {
    Matcher name = NAME.matcher(String.valueOf(path.getFileName()));
    return name.matches() ? Integer.parseInt(name.group(1)) : 0;
  }

  private static void requireSame(
      SftConfig config, RunCheckpoint checkpoint, List<String> notices) {
    RunIdentity now = RunIdentity.of(config);
    RunIdentity saved = checkpoint.state().identity();
    if (!now.version().equals(saved.version())) {
      notices.add(
          "%s was written by version %s, this is %s: results may differ in their last bits"
              .formatted(checkpoint.path(), saved.version(), now.version()));
    }
    List<String> differences = RunIdentity.differences(now, config, saved, checkpoint.config());
    if (differences.isEmpty()) {
      return;
    }
    String list = String.join("; ", differences);
    if (!config.output().resumeForce()) {
      throw new InputException(
          "%s belongs to another run: %s; restore what it was, or set resume_force: true"
              .formatted(checkpoint.path(), list));
    }
    notices.add("resume_force: going on although %s".formatted(list));
  }
}
