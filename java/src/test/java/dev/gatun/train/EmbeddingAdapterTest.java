package dev.gatun.train;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.adapter.AdapterStart;
import dev.gatun.cpu.CpuBackend;
import dev.gatun.io.AdapterFiles;
import dev.gatun.io.Checkpoint;
import dev.gatun.io.PeftAdapter;
import dev.gatun.model.LoraConfig.Modules;
import dev.gatun.op.Backend;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import dev.gatun.train.SftConfig.Interval;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Low-rank updates of the embedding and the output head, from training to the files and back.
class EmbeddingAdapterTest {
  private static final Backend backend = CpuBackend.create(2);

  @TempDir private Path directory;

  @AfterAll
  static void closeBackend() {
    backend.close();
  }

  @Test
  void anAdapterOfEmbeddingAndHeadIsTrainedOnAndEvaluatedTheSame() throws IOException {
    SftConfig first =
        TinyRun.config(directory, 8)
            .loraTargetModules(new Modules.Names(List.of("embed_tokens", "lm_head", "v_proj")))
            .evalDatasetPath(TinyRun.rows(directory, 5))
            .evalStrategy(Interval.STEPS)
            .evalSteps(3.0)
            .outputDir(directory.resolve("first"))
            .build();
    TrainingResult result = new SftTrainer(first, backend).run();
    PeftAdapter trained = AdapterFiles.read(directory.resolve("first"));
    assertThat(trained.modules().keySet()).contains("lm_head", "model.embed_tokens");

    SftConfig again =
        SftConfig.builder()
            .modelNameOrPath(TinyRun.model())
            .datasetPath(first.data().datasetPath().getFirst())
            .evalDatasetPath(first.data().evalDatasetPath().getFirst())
            .adapterNameOrPath(directory.resolve("first"))
            .outputDir(directory.resolve("second"))
            .build();
    assertThat(TinyRun.evaluate(again, backend).rowWeightedLoss())
        .isEqualTo(requireNonNull(result.evaluation()).rowWeightedLoss());

    // A copy of another base model would be loaded over it elsewhere.
    Tensor other = Tensor.ofFloats(Shape.of(2, 2), 1, 2, 3, 4);
    try (Checkpoint checkpoint = Checkpoint.open(TinyRun.model())) {
      Tensor table = checkpoint.tensor("model.embed_tokens.weight");
      for (Tensor copy : List.of(other, scaled(table))) {
        PeftAdapter repeating =
            new PeftAdapter(
                trained.config(),
                null,
                trained.modules(),
                trained.saved(),
                Map.of(),
                Map.of("model.embed_tokens", copy));
        assertThatThrownBy(() -> AdapterStart.training(repeating, checkpoint, "here"))
            .isInstanceOf(InputException.class)
            .hasMessageContaining("here repeats the base weight of model.embed_tokens");
      }
      PeftAdapter same =
          new PeftAdapter(
              trained.config(),
              null,
              trained.modules(),
              trained.saved(),
              Map.of(),
              Map.of("model.embed_tokens", table));
      assertThat(AdapterStart.training(same, checkpoint, "here").modules()).isNotEmpty();
    }
  }

  private static Tensor scaled(Tensor tensor) {
    float[] values = tensor.toFloats();
    values[values.length - 1] *= 1.01f;
    return Tensor.ofFloats(tensor.shape(), values);
  }
}
