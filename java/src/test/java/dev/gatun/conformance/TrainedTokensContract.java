package dev.gatun.conformance;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gatun.Tolerances;
import dev.gatun.io.Checkpoint;
import dev.gatun.io.WeightFormat;
import dev.gatun.model.LoraConfig;
import dev.gatun.model.LoraConfig.Modules;
import dev.gatun.model.ModelConfig;
import dev.gatun.nn.BatchInput;
import dev.gatun.nn.Limits;
import dev.gatun.nn.LoraInitializer;
import dev.gatun.nn.LoraTargets;
import dev.gatun.nn.ModulesToSave;
import dev.gatun.nn.TrainedTokens;
import dev.gatun.nn.Training;
import dev.gatun.op.Backend;
import dev.gatun.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/// Single rows trained by themselves, on any backend: their gradients are those rows of the
/// gradient that the whole matrix has, which PEFT's goldens vouch for.
public abstract class TrainedTokensContract {
  protected abstract Backend backend();

  /// A checkpoint that ties embedding and head, of more than 251 tokens.
  protected abstract Path model() throws IOException;

  // Apart and adjacent, used and unused, and out of order.
  private static final List<Integer> IDS = List.of(251, 7, 8, 9, 20, 3, 200);
  private static final int[] TEXT = {1, 7, 20, 200, 8, 7, 251, 33, 8, 20, 5, 2};

  @Test
  void gradientsAreThoseRowsOfTheWholeMatrix() throws IOException {
    try (Checkpoint checkpoint = Checkpoint.open(model()).withTrainedRows()) {
      ModelRun.Gradients whole =
          gradients(checkpoint, config(List.of("embed_tokens"), true, Map.of()));
      ModelRun.Gradients rows =
          gradients(checkpoint, config(List.of(), false, Map.of("embed_tokens", IDS)));

      assertThat(rows.loss()).isCloseTo(whole.loss(), within(Tolerances.SINGLE));
      Tensor matrix =
          requireNonNull(
              whole.values().get("base_model.model.model.embed_tokens.modules_to_save.weight"),
              () -> whole.values().keySet().toString());
      Tensor actual =
          requireNonNull(
              rows.values()
                  .get("base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta"),
              () -> rows.values().keySet().toString());
      for (int row = 0; row < IDS.size(); row++) {
        float[] expected = matrix.rows(IDS.get(row), 1).toFloats();
        float[] values = actual.rows(row, 1).toFloats();
        double norm = 0;
        for (float value : expected) {
          norm += (double) value * value;
        }
        assertThat(norm).as("gradient of token %d", IDS.get(row)).isPositive();
        for (int i = 0; i < values.length; i++) {
          assertThat(values[i])
              .as("token %d, element %d", IDS.get(row), i)
              .isCloseTo(expected[i], within((float) (Math.sqrt(norm) * Tolerances.SINGLE)));
        }
      }
    }
  }

  private ModelRun.Gradients gradients(Checkpoint checkpoint, LoraConfig lora) {
    ModelConfig model = checkpoint.config();
    Training training =
        new Training.Lora(
            LoraInitializer.initialize(
                LoraTargets.resolve(lora, model), model, lora.initialization(), 3),
            ModulesToSave.resolve(lora, model),
            TrainedTokens.resolve(lora, model));
    int[] labels = TEXT.clone();
    Arrays.fill(labels, 0, 3, -100);
    try (ModelRun run =
        ModelRun.load(
            new Engine(backend()),
            checkpoint,
            new WeightFormat.AsStored(),
            training,
            Limits.training(TEXT.length, 1, TEXT.length))) {
      return run.gradients(BatchInput.ofLabels(TEXT, new int[] {TEXT.length}, labels));
    }
  }

  static LoraConfig config(
      List<String> modulesToSave, boolean tied, Map<String, List<Integer>> tokens) {
    return LoraConfig.builder(new Modules.Names(List.of("q_proj")))
        .rank(2)
        .alpha(3)
        .initialization(LoraConfig.Initialization.UNIFORM)
        .modulesToSave(modulesToSave)
        .ensureWeightTying(tied)
        .trainableTokens(new LoraConfig.Tokens.Indices(tokens))
        .build();
  }
}
