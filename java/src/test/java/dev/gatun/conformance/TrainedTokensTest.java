package dev.gatun.conformance;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.UnsupportedException;
import dev.gatun.cpu.CpuBackend;
import dev.gatun.io.Checkpoint;
import dev.gatun.model.ModelConfig;
import dev.gatun.nn.TrainedTokens;
import dev.gatun.op.Backend;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/// On the CPU, and what is refused.
class TrainedTokensTest extends TrainedTokensContract {
  private final CpuBackend backend = CpuBackend.create(1);

  @Override
  protected Backend backend() {
    return backend;
  }

  @AfterEach
  void close() {
    backend.close();
  }

  @Test
  void whatCannotBeTrainedIsNamed() {
    try (Checkpoint checkpoint = Checkpoint.open(model())) {
      ModelConfig model = checkpoint.config();
      refused(model, List.of(), Map.of("embed_tokens", List.of(391)), "id 391", "rows 0 to 390");
      refused(model, List.of(), Map.of("embed_tokens", List.of(4, 4)), "id 4", "twice");
      refused(model, List.of(), Map.of("embed_tokens", List.of()), "names no token");
      refused(model, List.of(), Map.of("lm_head", List.of(1)), "ties to embed_tokens");
      refused(
          model,
          List.of("embed_tokens"),
          Map.of("embed_tokens", List.of(1)),
          "modules_to_save and in trainable_token_indices");
      assertThatThrownBy(() ->
              TrainedTokens.resolve(config(List.of(), false, Map.of("q_proj", List.of(1))), model))
          .isInstanceOf(UnsupportedException.class)
          .hasMessageContaining("q_proj");
    }
  }

  private static void refused(
      ModelConfig model, List<String> saved, Map<String, List<Integer>> tokens, String... reasons) {
    assertThatThrownBy(() -> TrainedTokens.resolve(config(saved, false, tokens), model))
        .isInstanceOf(InputException.class)
        .isNotInstanceOf(UnsupportedException.class)
        .hasMessageContainingAll(reasons);
  }

  @Override
  protected Path model() {
    try {
      return Path.of(
          requireNonNull(
                  TrainedTokensTest.class.getResource("/conformance/models/llama_tied_mha/model"))
              .toURI());
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }
}
