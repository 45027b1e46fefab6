package dev.gatun.examples;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.io.AdapterFiles;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EmbeddingExampleTest {
  @TempDir private Path directory;

  @Test
  void trainsAnAdapterThatLoads() throws Exception {
    List<String> rows = Files.readAllLines(quickstart("train.jsonl")).subList(0, 24);
    Path data = Files.write(directory.resolve("train.jsonl"), rows);

    Path adapter = EmbeddingExample.tune(quickstart("model"), data, directory.resolve("out"));

    assertThat(AdapterFiles.read(adapter).modules())
        .containsKey("model.layers.0.self_attn.q_proj")
        .containsKey("model.layers.5.mlp.down_proj");
  }

  private static Path quickstart(String name) throws URISyntaxException {
    return Path.of(EmbeddingExampleTest.class.getResource("/dev/gatun/quickstart/" + name).toURI());
  }
}
