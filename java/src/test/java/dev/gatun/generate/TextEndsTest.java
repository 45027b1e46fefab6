package dev.gatun.generate;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.rules.Repository;
import dev.gatun.text.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TextEndsTest {
  private static final Path MODEL =
      Repository.root().resolve("java/src/main/resources/dev/gatun/quickstart/model");

  @TempDir private Path checkpoint;

  @Test
  void theGenerationConfigurationGoesBeforeTheModelsAndTheTokenizersTokenIsAlwaysOne()
      throws IOException {
    String config = Files.readString(MODEL.resolve("config.json"));
    try (Tokenizer tokenizer = Tokenizer.open(MODEL)) {
      int own = tokenizer.eosTokenId().orElseThrow();
      String field = "\"eos_token_id\": " + own;
      assertThat(config).contains(field);

      Files.writeString(
          checkpoint.resolve("config.json"), config.replace(field, "\"eos_token_id\": 900"));
      assertThat(TextEnds.of(checkpoint, tokenizer)).containsExactlyInAnyOrder(own, 900);

      Files.writeString(
          checkpoint.resolve("generation_config.json"), "{\"eos_token_id\": [901, 902]}");
      assertThat(TextEnds.of(checkpoint, tokenizer)).containsExactlyInAnyOrder(own, 901, 902);
    }
  }
}
