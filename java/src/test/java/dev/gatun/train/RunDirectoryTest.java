package dev.gatun.train;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RunDirectoryTest {
  @TempDir private Path folder;

  @Test
  void tooLittleSpaceIsSaidBeforeTheRun() throws IOException {
    SftConfig config =
        TinyRun.config(folder, 2).outputDir(folder.resolve("deep/below/out")).build();
    RunDirectory directory = RunDirectory.claim(config.output());
    long free = Files.getFileStore(folder).getUsableSpace();

    assertThat(directory.shortage(free / 2)).isEmpty();
    assertThat(directory.shortage(4 * free).orElseThrow())
        .startsWith(folder.toAbsolutePath() + " has ")
        .contains("free");
  }
}
