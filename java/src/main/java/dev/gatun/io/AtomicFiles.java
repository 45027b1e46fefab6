package dev.gatun.io;

import dev.gatun.FailureException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/// Writes files so that a reader sees the old content or the new, never a part: a temporary name in
/// the same directory, fsync, rename, fsync of the directory. A failed or interrupted write leaves
/// nothing behind.
public final class AtomicFiles {
  private static final AtomicLong COUNTER = new AtomicLong();
  private static final Set<Path> UNFINISHED = ConcurrentHashMap.newKeySet();

  static {
    // An exit in the middle of a write (Ctrl-C) takes its temporary file along.
    Runtime.getRuntime()
        .addShutdownHook(new Thread(() -> UNFINISHED.forEach(p -> p.toFile().delete())));
  }

  private AtomicFiles() {}

  /// What goes into the file.
  @FunctionalInterface
  public interface Content {
    void writeTo(FileChannel channel) throws IOException;
  }

  /// Replaces `target` by `content`; creates missing directories.
  ///
  /// @throws FailureException naming the path if it cannot be written
  public static void write(Path target, Content content) {
    Path absolute = target.toAbsolutePath();
    Path directory = absolute.getParent();
    if (directory == null || Files.isDirectory(absolute)) {
      throw new FailureException("%s is a directory, not a file to write".formatted(target));
    }
    Path temporary =
        directory.resolve(
            ".%s.%d-%d.tmp"
                .formatted(
                    absolute.getFileName(),
                    ProcessHandle.current().pid(),
                    COUNTER.incrementAndGet()));
    try {
      Files.createDirectories(directory);
      UNFINISHED.add(temporary);
      writeSynced(temporary, content);
      rename(temporary, absolute);
      syncDirectory(directory);
    } catch (IOException e) {
      throw new FailureException(
          "%s cannot be written: %s; check the path, its permissions and the free disk space"
              .formatted(target, reason(e)),
          e);
    } finally {
      discard(temporary);
    }
  }

  /// Replaces `target` by UTF-8 text.
  public static void writeText(Path target, String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    write(target, channel -> writeFully(channel, ByteBuffer.wrap(bytes)));
  }

  /// Gives a complete directory its name; `to` must not exist. Durable when this returns, and so
  /// are the names inside.
  public static void renameDirectory(Path from, Path to) throws IOException {
    syncDirectory(from);
    Files.move(from, to, StandardCopyOption.ATOMIC_MOVE);
    Path parent = to.toAbsolutePath().getParent();
    if (parent != null) {
      syncDirectory(parent);
    }
  }

  /// Writes all that remains in `bytes`.
  static void writeFully(FileChannel channel, ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
  }

  private static void writeSynced(Path temporary, Content content) throws IOException {
    try (FileChannel channel =
        FileChannel.open(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      content.writeTo(channel);
      channel.force(true);
    }
  }

  private static void rename(Path from, Path to) throws IOException {
    try {
      Files.move(from, to, StandardCopyOption.ATOMIC_MOVE);
    } catch (AtomicMoveNotSupportedException e) {
      Files.move(from, to, StandardCopyOption.REPLACE_EXISTING);
    }
  }

  private static void syncDirectory(Path directory) throws IOException {
    // Only POSIX systems open directories; elsewhere the rename itself is durable enough.
    if (directory.getFileSystem().supportedFileAttributeViews().contains("posix")) {
      try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
        channel.force(true);
      }
    }
  }

  private static void discard(Path temporary) {
    temporary.toFile().delete();
    UNFINISHED.remove(temporary);
  }

  private static String reason(IOException e) {
    if (e instanceof FileSystemException f && f.getReason() != null) {
      return f.getReason();
    }
    String kind = e.getClass().getSimpleName().replace("Exception", "");
    return e instanceof FileSystemException ? kind : Quoted.reason(e);
  }
}
