package dev.gatun.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.cpu.CpuBackend;
import dev.gatun.generate.Generator;
import dev.gatun.generate.LanguageModel;
import dev.gatun.generate.Sampler;
import dev.gatun.io.AdapterFiles;
import dev.gatun.io.Checkpoint;
import dev.gatun.io.SafeTensors;
import dev.gatun.io.SafeTensorsWriter;
import dev.gatun.io.WeightFormat;
import dev.gatun.model.LoraConfig.Tokens;
import dev.gatun.op.Backend;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// Training with added tokens, held against a checkpoint that has them already.
class AddedTokensTest {
  private static final Backend backend = CpuBackend.create();
  private static final List<String> TOKENS = List.of("<yes>", "<no>");
  private static final int VOCABULARY = 391;

  @TempDir private Path directory;
  private Path rows;

  @AfterAll
  static void closeBackend() {
    backend.close();
  }

  @BeforeEach
  void writeRows() throws IOException {
    rows =
        Files.writeString(
            directory.resolve("tokens.jsonl"),
            """
            {"prompt": "is it?", "completion": " <yes><no>"}
            {"prompt": "was it?", "completion": " <no>"}
            """);
  }

  private SftConfigBuilder config(String output) throws IOException {
    return TinyRun.config(directory, 2)
        .datasetPath(rows)
        .outputDir(directory.resolve(output))
        .modulesToSave(List.of("embed_tokens", "lm_head"));
  }

  @ParameterizedTest
  @CsvSource({"true,false", "true,true", "false,false"})
  void trainsAsIfTheCheckpointHadTheTokens(boolean tied, boolean kept) throws IOException {
    Path base = checkpoint("base", tied, false);
    Path extended = checkpoint("extended", tied, true);
    run(
        config("added")
            .modelNameOrPath(base)
            .ensureWeightTying(kept)
            .addedTokens(TOKENS.subList(0, 1))
            .addedSpecialTokens(TOKENS.subList(1, 2))
            .build());
    run(config("native").modelNameOrPath(extended).ensureWeightTying(kept).build());

    assertThat(directory.resolve("added").resolve(AdapterFiles.TENSORS))
        .hasSameBinaryContentAs(directory.resolve("native").resolve(AdapterFiles.TENSORS));
    try (SafeTensors adapter =
        SafeTensors.open(directory.resolve("added").resolve(AdapterFiles.TENSORS))) {
      assertThat(adapter.tensor("base_model.model.model.embed_tokens.weight").rows())
          .isEqualTo(VOCABULARY + TOKENS.size());
      assertThat(adapter.tensor("base_model.model.lm_head.weight").rows())
          .isEqualTo(VOCABULARY + TOKENS.size());
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void rowsAloneTrainAsIfTheCheckpointHadTheTokens(boolean tied) throws IOException {
    List<Integer> ids = List.of(VOCABULARY, VOCABULARY + 1);
    run(
        config("added")
            .modelNameOrPath(checkpoint("base", tied, false))
            .modulesToSave(List.of())
            .addedTokens(TOKENS)
            .trainableTokenIndices(new Tokens.Added())
            .build());
    run(
        config("native")
            .modelNameOrPath(checkpoint("extended", tied, true))
            .modulesToSave(List.of())
            .trainableTokenIndices(
                new Tokens.Indices(
                    tied
                        ? Map.of("embed_tokens", ids)
                        : Map.of("embed_tokens", ids, "lm_head", ids)))
            .build());

    assertThat(directory.resolve("added").resolve(AdapterFiles.TENSORS))
        .hasSameBinaryContentAs(directory.resolve("native").resolve(AdapterFiles.TENSORS));
    assertThat(directory.resolve("added/config.yaml"))
        .content()
        .contains("embed_tokens:\n  - 391\n  - 392\n");
  }

  @Test
  void everyWeightTrainsAsIfTheCheckpointHadTheTokens() throws IOException {
    run(
        config("added")
            .usePeft(false)
            .modelNameOrPath(checkpoint("base", false, false))
            .addedTokens(TOKENS)
            .build());
    run(
        config("native")
            .usePeft(false)
            .modelNameOrPath(checkpoint("extended", false, true))
            .build());

    assertThat(directory.resolve("added/model.safetensors"))
        .hasSameBinaryContentAs(directory.resolve("native/model.safetensors"));
    assertThat(Files.readString(directory.resolve("added/config.json")))
        .contains("\"vocab_size\" : " + (VOCABULARY + TOKENS.size()));
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void theOutputSaysTheNewTokensAndGoesOnTraining(boolean whole) throws IOException {
    SftConfig config =
        config("out")
            .modulesToSave(whole ? List.of("embed_tokens") : List.of())
            .ensureWeightTying(whole)
            .trainableTokenIndices(whole ? Tokens.NONE : new Tokens.Added())
            .addedTokens(TOKENS)
            .learningRate(2e-2)
            .maxSteps(40)
            .build();
    TrainingResult first = run(config);

    Path output = config.output().outputDir();
    try (LanguageModel model =
        LanguageModel.open(backend, TinyRun.model(), output, new WeightFormat.Operand())) {
      Generator.Settings settings = new Generator.Settings(3, 2, Sampler.greedy());
      assertThat(new Generator(model).continueTexts(List.of("is it?", "was it?"), settings))
          .containsExactly("<yes><no>", "<no>");
    }
    TrainingResult more =
        run(
            SftConfig.builder()
                .modelNameOrPath(TinyRun.model())
                .datasetPath(rows)
                .outputDir(directory.resolve("more"))
                .saveStrategy(SftConfig.Interval.NO)
                .maxSteps(1)
                .adapterNameOrPath(output)
                .build());
    assertThat(more.trainLoss()).isLessThan(first.trainLoss() / 2);
    assertThat(directory.resolve("more/tokenizer.json"))
        .hasSameBinaryContentAs(output.resolve("tokenizer.json"));
  }

  @Test
  void tokensOfTheCheckpointStayWhatTheyAre() throws IOException {
    List<String> notices = new ArrayList<>();
    SftConfig config =
        TinyRun.config(directory, 2).addedTokens(List.of("<|im_end|>")).maxSteps(1).build();
    new SftTrainer(
            config,
            backend,
            event -> {
              if (event instanceof TrainingEvent.Notice(String text)) {
                notices.add(text);
              }
            })
        .run();

    assertThat(notices).anyMatch(text -> text.contains("already has <|im_end|>"));
    assertThat(config.output().outputDir().resolve("tokenizer.json"))
        .hasSameBinaryContentAs(TinyRun.model().resolve("tokenizer.json"));
  }

  @Test
  void frozenRowsAreRefused() throws IOException {
    SftConfig config =
        config("out").modulesToSave(List.of("embed_tokens")).addedTokens(TOKENS).build();

    assertThatThrownBy(() -> run(config))
        .isInstanceOf(InputException.class)
        .hasMessage(
            "added_tokens needs an embedding and a head whose new rows are trained; set trainable_token_indices: added_tokens for those rows alone, or modules_to_save: [embed_tokens, lm_head] and ensure_weight_tying: true to keep them one matrix as in this model");
    assertThat(config.output().outputDir()).doesNotExist();
  }

  @Test
  void aTokenInBothListsIsRefused() {
    assertThatThrownBy(() -> config("out").addedTokens(TOKENS).addedSpecialTokens(TOKENS).build())
        .isInstanceOf(InputException.class)
        .hasMessageContaining("both name `<yes>`");
  }

  private static TrainingResult run(SftConfig config) {
    return new SftTrainer(config, backend).run();
  }

  /// The tiny model, untied if asked, and with rows for the tokens if asked: the mean of all rows.
  private Path checkpoint(String name, boolean tied, boolean extended) throws IOException {
    Path target = Files.createDirectories(directory.resolve(name + "-" + tied));
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    try (Checkpoint stored = Checkpoint.open(TinyRun.model())) {
      for (String tensor : stored.names()) {
        Tensor value = stored.tensor(tensor);
        tensors.put(tensor, Tensor.ofFloats(value.shape(), value.toFloats()));
      }
    }
    Tensor embedding = tensors.get("model.embed_tokens.weight");
    if (!tied) {
      float[] head = embedding.toFloats();
      for (int i = 0; i < head.length; i++) {
        head[i] += 0.01f * (float) Math.sin(i);
      }
      tensors.put("lm_head.weight", Tensor.ofFloats(embedding.shape(), head));
    }
    if (extended) {
      tensors.replaceAll((tensor, value) -> value.rows() == VOCABULARY ? withMean(value) : value);
    }
    SafeTensorsWriter.write(target.resolve("model.safetensors"), tensors, Map.of("format", "pt"));
    ObjectNode config =
        (ObjectNode) JsonMapper.shared().readTree(TinyRun.model().resolve("config.json"));
    config.put("tie_word_embeddings", tied);
    config.put("vocab_size", VOCABULARY + (extended ? TOKENS.size() : 0));
    Files.writeString(target.resolve("config.json"), config.toString());
    ObjectNode tokenizer =
        (ObjectNode) JsonMapper.shared().readTree(TinyRun.model().resolve("tokenizer.json"));
    if (extended) {
      for (String token : TOKENS) {
        int id = VOCABULARY + TOKENS.indexOf(token);
        tokenizer
            .withArray("added_tokens")
            .addObject()
            .put("content", token)
            .put("id", id)
            .put("single_word", false)
            .put("lstrip", false)
            .put("rstrip", false)
            .put("normalized", false)
            .put("special", false);
      }
    }
    Files.writeString(target.resolve("tokenizer.json"), tokenizer.toString());
    Files.copy(
        TinyRun.model().resolve("tokenizer_config.json"), target.resolve("tokenizer_config.json"));
    return target;
  }

  private static Tensor withMean(Tensor matrix) {
    int columns = Math.toIntExact(matrix.cols());
    float[] stored = matrix.toFloats();
    float[] values = Arrays.copyOf(stored, stored.length + TOKENS.size() * columns);
    for (int column = 0; column < columns; column++) {
      double sum = 0;
      for (int i = column; i < stored.length; i += columns) {
        sum += stored[i];
      }
      for (int i = stored.length + column; i < values.length; i += columns) {
        values[i] = (float) (sum / VOCABULARY);
      }
    }
    return Tensor.ofFloats(Shape.of(VOCABULARY + TOKENS.size(), columns), values);
  }
}
