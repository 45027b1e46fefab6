package dev.gatun.train;

import dev.gatun.FailureException;
import dev.gatun.InputException;
import dev.gatun.io.AdapterFiles;
import dev.gatun.io.AtomicFiles;
import java.io.EOFException;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// The output directory of a run. It appears with the first file in it; a directory that already
/// holds something is refused, or with `overwrite_output_dir` its files of the same names are
/// replaced and no others touched.
final class RunDirectory {
  private static final List<String> TOKENIZER_FILES =
      List.of(
          "tokenizer.json",
          "tokenizer_config.json",
          "special_tokens_map.json",
          "added_tokens.json",
          "vocab.json",
          "merges.txt",
          "tokenizer.model",
          "chat_template.jinja");

  /// Names under which files, new checkpoints and old ones lie while they are not complete.
  private static final Pattern UNFINISHED =
      Pattern.compile("\\..+\\.\\d+-\\d+\\.tmp|\\.checkpoint-\\d+(\\.old)?\\.tmp");

  private final Path path;
  private final boolean goesOn;
  private final @Nullable Integer checkpointLimit;
  private final Deque<Path> checkpoints = new ArrayDeque<>();

  private RunDirectory(Path path, @Nullable Integer checkpointLimit, boolean goesOn) {
    this.path = path;
    this.goesOn = goesOn;
    this.checkpointLimit = checkpointLimit;
  }

  /// Checks that the run may write there, before any work is done.
  ///
  /// @throws InputException if something is in the way
  static RunDirectory claim(SftConfig.Output output) {
    Path path = output.outputDir();
    if (Files.exists(path) && !Files.isDirectory(path)) {
      throw new InputException("output_dir %s is a file; name a directory".formatted(path));
    }
    boolean goesOn = output.resumeFromCheckpoint() != null;
    if (!output.overwriteOutputDir() && !goesOn && Files.isDirectory(path) && !isEmpty(path)) {
      throw new InputException(
          "output_dir %s is not empty; name another, or set overwrite_output_dir: true"
              .formatted(path));
    }
    if (!output.overwriteOutputDir() && goesOn && holdsAnEndWithoutCheckpoint(path)) {
      throw new InputException(
          "output_dir %s holds a finished run and no checkpoint to go on from; name another, or set overwrite_output_dir: true"
              .formatted(path));
    }
    Path existing = nearestExisting(path);
    if (!Files.isDirectory(existing) || !Files.isWritable(existing)) {
      throw new InputException(
          "output_dir %s cannot be written: %s is %s"
              .formatted(
                  path,
                  existing,
                  Files.isDirectory(existing) ? "not writable" : "not a directory"));
    }
    return new RunDirectory(path, output.saveTotalLimit(), goesOn);
  }

  // A run that left nothing but logs may start over; what was trained is not written over.
  private static boolean holdsAnEndWithoutCheckpoint(Path directory) {
    boolean trained =
        Files.exists(directory.resolve(AdapterFiles.TENSORS))
            || Files.exists(directory.resolve("model.safetensors"))
            || Files.exists(directory.resolve("model.safetensors.index.json"));
    if (!trained) {
      return false;
    }
    try (Stream<Path> entries = Files.list(directory)) {
      return entries.noneMatch(entry -> entry.getFileName().toString().startsWith("checkpoint-"));
    } catch (IOException e) {
      throw new InputException("output_dir %s cannot be read".formatted(directory), e);
    }
  }

  private static boolean isEmpty(Path directory) {
    try (Stream<Path> entries = Files.list(directory)) {
      return entries.findAny().isEmpty();
    } catch (IOException e) {
      throw new InputException("output_dir %s cannot be read".formatted(directory), e);
    }
  }

  /// What to say if less is free than the run is going to write. A file system that does not tell
  /// has enough.
  Optional<String> shortage(long bytes) {
    try {
      Path existing = nearestExisting(path);
      long free = Files.getFileStore(existing).getUsableSpace();
      return free >= bytes
          ? Optional.empty()
          : Optional.of(
              "%s has %s free, and the end of the run with one checkpoint takes about %s; make room before they are written"
                  .formatted(existing, MemoryPlan.size(free), MemoryPlan.size(bytes)));
    } catch (IOException e) {
      return Optional.empty();
    }
  }

  private static Path nearestExisting(Path path) {
    Path candidate = path.toAbsolutePath();
    while (!Files.exists(candidate) && candidate.getParent() != null) {
      candidate = candidate.getParent();
    }
    return candidate;
  }

  Path path() {
    return path;
  }

  Path file(String name) {
    return path.resolve(name);
  }

  /// Where the checkpoint after update `step` lies, if there is one.
  Path checkpoint(int step) {
    return path.resolve("checkpoint-" + step);
  }

  /// Writes `checkpoint-<step>`, which appears complete or not at all.
  ///
  /// @param content writes the files into the directory it is given
  /// @param best checkpoint that is kept beside the newest, or null
  Path checkpoint(int step, Consumer<Path> content, @Nullable Path best) {
    Path target = checkpoint(step);
    if (Files.exists(target) && !goesOn) {
      // Only with overwrite_output_dir: file by file, to leave what else is there alone.
      content.accept(target);
    } else {
      Path unfinished = path.resolve(".checkpoint-" + step + ".tmp");
      try {
        delete(unfinished);
        content.accept(unfinished);
        discard(target);
        AtomicFiles.renameDirectory(unfinished, target);
        rotate(target, best);
      } catch (IOException e) {
        throw new FailureException(
            "%s cannot be written: %s; check the free disk space".formatted(target, e.getMessage()),
            e);
      } finally {
        delete(unfinished);
      }
    }
    return target;
  }

  private void rotate(Path newest, @Nullable Path best) throws IOException {
    checkpoints.remove(newest);
    checkpoints.addLast(newest);
    if (checkpointLimit != null) {
      Path kept = best == null ? null : known(best);
      for (Path checkpoint : surplus(List.copyOf(checkpoints), checkpointLimit, kept)) {
        discard(checkpoint);
        checkpoints.remove(checkpoint);
      }
    }
  }

  /// The same directory under the name it has here.
  private Path known(Path checkpoint) throws IOException {
    for (Path known : checkpoints) {
      if (Files.exists(known) && Files.exists(checkpoint) && Files.isSameFile(known, checkpoint)) {
        return known;
      }
    }
    return checkpoint;
  }

  /// The checkpoints to remove: the oldest above the limit, but neither the newest nor the best,
  /// even if those two are more than the limit.
  ///
  /// @param checkpoints by ascending step, at least one
  static List<Path> surplus(List<Path> checkpoints, int limit, @Nullable Path best) {
    Path newest = checkpoints.getLast();
    int kept = Math.max(limit, best == null || best.equals(newest) ? 1 : 2);
    return checkpoints.stream()
        .filter(checkpoint -> !checkpoint.equals(newest) && !checkpoint.equals(best))
        .limit(Math.max(0, checkpoints.size() - kept))
        .toList();
  }

  /// Removes a checkpoint that may be interrupted at any moment: under another name first, so that
  /// nobody takes what is left of it for a checkpoint.
  private void discard(Path checkpoint) throws IOException {
    if (Files.isDirectory(checkpoint)) {
      Path doomed = path.resolve(".%s.old.tmp".formatted(checkpoint.getFileName()));
      delete(doomed);
      AtomicFiles.renameDirectory(checkpoint, doomed);
      delete(doomed);
    }
  }

  /// Takes over the checkpoints of a run that goes on after update `step`, and clears away what it
  /// left half-written.
  void adopt(int step) {
    if (!Files.isDirectory(path)) {
      return;
    }
    for (Path entry : RunCheckpoint.list(path)) {
      if (UNFINISHED.matcher(entry.getFileName().toString()).matches()) {
        delete(entry);
      }
    }
    Resumption.checkpoints(path).stream()
        .filter(checkpoint -> Resumption.step(checkpoint) <= step)
        .forEach(checkpoints::addLast);
  }

  private static void delete(Path directory) {
    if (!Files.exists(directory)) {
      return;
    }
    try (Stream<Path> entries = Files.walk(directory)) {
      for (Path entry : entries.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(entry);
      }
    } catch (IOException e) {
      throw new FailureException("%s cannot be removed".formatted(directory), e);
    }
  }

  /// The files of a tokenizer that are there, the chat template among them.
  static List<Path> tokenizerFiles(Path tokenizer) {
    Path source = Files.isDirectory(tokenizer) ? tokenizer : tokenizer.toAbsolutePath().getParent();
    return source == null
        ? List.of()
        : TOKENIZER_FILES.stream().map(source::resolve).filter(Files::isRegularFile).toList();
  }

  /// Copies one file, however large.
  static void copy(Path source, Path target) {
    try (FileChannel from = FileChannel.open(source)) {
      long size = from.size();
      AtomicFiles.write(
          target,
          channel -> {
            for (long done = 0; done < size; ) {
              long more = from.transferTo(done, size - done, channel);
              if (more <= 0) {
                throw new EOFException("%s became shorter".formatted(source));
              }
              done += more;
            }
          });
    } catch (IOException e) {
      throw new InputException("%s cannot be read".formatted(source), e);
    }
  }
}
