package dev.gatun.train;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gatun.cpu.CpuBackend;
import dev.gatun.data.PackingStrategy;
import dev.gatun.io.JsonObject;
import dev.gatun.op.Backend;
import dev.gatun.train.EvaluationResult.SourceLoss;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// The loss of every file of a mixed evaluation set, held against the evaluation of each alone.
class SourceLossTest {
  private static final Offset<Double> ROUNDING = within(1e-5);
  private static final Backend backend = CpuBackend.create();

  @TempDir private Path directory;
  private List<Path> files = List.of();

  @AfterAll
  static void closeBackend() {
    backend.close();
  }

  @BeforeEach
  void writeFiles() throws IOException {
    Path other =
        Files.writeString(
            directory.resolve("other.jsonl"),
            """
            {"prompt": "is it?", "completion": " no no maybe"}
            {"prompt": "was it then?", "completion": " perhaps not"}
            {"prompt": "is it?", "completion": " why"}
            """);
    files = List.of(TinyRun.rows(directory, 7), other, TinyRun.rows(directory, 4));
  }

  private SftConfigBuilder config() throws IOException {
    return TinyRun.config(directory, 2).perDeviceEvalBatchSize(2);
  }

  @ParameterizedTest
  @CsvSource({"false,BFD,false", "true,BFD,false", "true,BFD_SPLIT,true", "false,BFD,true"})
  void everyFileHasTheLossThatItHasAlone(boolean packing, PackingStrategy strategy, boolean cached)
      throws IOException {
    SftConfigBuilder config =
        config()
            .packing(packing)
            .packingStrategy(strategy)
            .maxLength(48)
            .cacheDir(cached ? directory.resolve("cache") : null);

    EvaluationResult mixed =
        TinyRun.evaluate(config.evalDatasetPath(files.toArray(Path[]::new)).build(), backend);

    assertThat(mixed.sources())
        .extracting(SourceLoss::name)
        .containsExactly("rows-7.jsonl", "other.jsonl", "rows-4.jsonl");
    for (int i = 0; i < files.size(); i++) {
      EvaluationResult alone =
          TinyRun.evaluate(config.evalDatasetPath(files.get(i)).build(), backend);
      assertThat(alone.sources()).isEmpty();
      assertThat(mixed.sources().get(i).loss()).isCloseTo(alone.loss(), ROUNDING);
      assertThat(mixed.sources().get(i).targets()).isEqualTo(alone.targets());
    }
    assertThat(mixed.sources()).extracting(SourceLoss::loss).doesNotHaveDuplicates();
    double sum = mixed.sources().stream().mapToDouble(each -> each.loss() * each.targets()).sum();
    assertThat(sum / mixed.targets()).isCloseTo(mixed.loss(), ROUNDING);
  }

  @Test
  void samplesThatHoldPartsOfSeveralFilesAreNotTakenApart() throws IOException {
    SftConfig config =
        config()
            .packing(true)
            .packingStrategy(PackingStrategy.WRAPPED)
            .maxLength(48)
            .evalDatasetPath(files.toArray(Path[]::new))
            .build();

    assertThat(TinyRun.evaluate(config, backend).sources()).isEmpty();
  }

  @Test
  void filesOfTheSameNameAreCalledByTheirPaths() throws IOException {
    Path folder = Files.createDirectories(directory.resolve("more"));
    Path twin = Files.copy(files.getFirst(), folder.resolve("other.jsonl"));
    SftConfig config = config().evalDatasetPath(files.get(1), twin, files.getFirst()).build();

    assertThat(TinyRun.evaluate(config, backend).sources())
        .extracting(SourceLoss::name)
        .containsExactly(files.get(1).toString(), twin.toString(), "rows-7.jsonl");
  }

  @Test
  void theLogAndTheProgressLineHaveThem() throws IOException {
    SftConfig config = config().evalDatasetPath(files.toArray(Path[]::new)).maxSteps(1).build();
    StringBuilder lines = new StringBuilder();
    TrainingResult result =
        new SftTrainer(config, backend, new ProgressLines(line -> lines.append(line), 1)).run();

    SourceLoss other = requireNonNull(result.evaluation()).sources().get(1);
    JsonObject line = JsonObject.readLines(directory.resolve("out/metrics.jsonl")).getLast();
    JsonObject log =
        JsonObject.read(directory.resolve("out/trainer_state.json")).objects("log_history").stream()
            .filter(entry -> entry.has("eval_loss"))
            .findFirst()
            .orElseThrow();
    assertThat(line.number("eval_token_loss/other.jsonl")).isEqualTo(other.loss());
    assertThat(line.number("eval_targets/other.jsonl")).isEqualTo(other.targets());
    assertThat(log.number("eval_token_loss/other.jsonl")).isEqualTo(other.loss());
    assertThat(lines)
        .containsPattern(
            "loss by file: rows-7.jsonl [\\d.]+, other.jsonl %.4f, ".formatted(other.loss()));
    assertThat(directory.resolve("out/report.html"))
        .content()
        .contains("Evaluation loss by file", "</i>other.jsonl</span>");
  }
}
