package dev.gatun.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.FailureException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AtomicFilesTest {
  @TempDir Path dir;

  @Test
  void replacesTheOldContentAndCreatesDirectories() throws IOException {
    Path file = dir.resolve("new/deep/notes.txt");
    AtomicFiles.writeText(file, "first");
    AtomicFiles.writeText(file, "zweité");
    assertThat(file).hasContent("zweité");
    assertThat(namesIn(dir.resolve("new/deep"))).containsExactly("notes.txt");
  }

  @Test
  void aFailedWriteKeepsTheOldContentAndLeavesNothing() throws IOException {
    Path file = dir.resolve("notes.txt");
    AtomicFiles.writeText(file, "old");
    assertThatThrownBy(() ->
            AtomicFiles.write(
                file,
                channel -> {
                  channel.write(ByteBuffer.allocate(10));
                  throw new IOException("No space left on device");
                }))
        .isInstanceOf(FailureException.class)
        .hasMessageContaining(file.toString())
        .hasMessageContaining("No space left on device");
    assertThat(file).hasContent("old");
    assertThat(namesIn(dir)).containsExactly("notes.txt");
  }

  @Test
  void namesThePathThatCannotBeWritten() throws IOException {
    Path obstacle = Files.createFile(dir.resolve("file"));
    Path below = obstacle.resolve("x/notes.txt");
    assertThatThrownBy(() -> AtomicFiles.writeText(below, "text"))
        .isInstanceOf(FailureException.class)
        .hasMessageContaining(below.toString());
    assertThatThrownBy(() -> AtomicFiles.writeText(dir, "text"))
        .isInstanceOf(FailureException.class)
        .hasMessageContaining(dir.toString());
  }

  private static Stream<String> namesIn(Path directory) throws IOException {
    try (Stream<Path> files = Files.list(directory)) {
      return files.map(p -> p.getFileName().toString()).toList().stream();
    }
  }
}
