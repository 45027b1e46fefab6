package dev.gatun.io;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.UnsupportedException;
import dev.gatun.io.PeftAdapter.LowRank;
import dev.gatun.model.LoraConfig;
import dev.gatun.model.LoraConfig.Initialization;
import dev.gatun.model.LoraConfig.Modules;
import dev.gatun.model.ModelConfig;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AdapterFilesTest {
  private static final String Q = "model.layers.0.self_attn.q_proj";
  private static final String UP = "model.layers.1.mlp.up_proj";

  /// As PEFT 0.21 itself wrote it for `LoraConfig(r=8, lora_alpha=12, use_rslora=True,
  /// target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")`.
  private static final String PEFT_CONFIG =
      """
      {
        "alora_invocation_tokens": null,
        "alpha_pattern": {},
        "arrow_config": null,
        "auto_mapping": null,
        "base_model_name_or_path": "base",
        "bias": "none",
        "corda_config": null,
        "ensure_weight_tying": false,
        "eva_config": null,
        "exclude_modules": null,
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "kasa_config": null,
        "layer_replication": null,
        "layers_pattern": null,
        "layers_to_transform": null,
        "loftq_config": {},
        "lora_alpha": 12,
        "lora_bias": false,
        "lora_dropout": 0.0,
        "lora_ga_config": null,
        "megatron_config": null,
        "megatron_core": "megatron.core",
        "modules_to_save": null,
        "monteclora_config": null,
        "peft_type": "LORA",
        "peft_version": "0.21.0",
        "qalora_group_size": 16,
        "r": 8,
        "rank_pattern": {},
        "revision": null,
        "target_modules": [
          "q_proj",
          "v_proj"
        ],
        "target_parameters": null,
        "task_type": "CAUSAL_LM",
        "trainable_token_indices": null,
        "use_bdlora": null,
        "use_dora": false,
        "use_qalora": false,
        "use_rslora": true,
        "velora_config": null
      }
      """;

  @TempDir Path dir;

  @Test
  void writesTheConfigurationAsPeftDoes() {
    LoraConfig config =
        LoraConfig.builder(new Modules.Names(List.of("v_proj", "q_proj")))
            .alpha(12)
            .rankStabilized(true)
            .build();
    AdapterFiles.write(dir, new PeftAdapter(config, "base", Map.of(Q, lowRank(20, 20, 8))));
    assertThat(dir.resolve(AdapterFiles.CONFIG)).hasContent(PEFT_CONFIG);
    assertThat(AdapterFiles.read(dir).config().targets())
        .isEqualTo(new Modules.Names(List.of("q_proj", "v_proj")));
  }

  @Test
  void rowsOfTokensAreKept() throws IOException {
    LoraConfig config =
        LoraConfig.builder(new Modules.Names(List.of("q_proj")))
            .rank(4)
            .alpha(4)
            .trainableTokens(new LoraConfig.Tokens.Indices(Map.of("embed_tokens", List.of(9, 3))))
            .build();
    Tensor rows = Tensor.ofFloats(Shape.of(2, 2), 1, 2, 3, 4);
    AdapterFiles.write(
        dir,
        new PeftAdapter(
            config,
            "base",
            Map.of(Q, lowRank(20, 20, 4)),
            Map.of(),
            Map.of("model.embed_tokens", rows),
            Map.of()));

    PeftAdapter read = AdapterFiles.read(dir);
    assertThat(read.config()).isEqualTo(config);
    assertThat(read.tokens().get("model.embed_tokens").toFloats()).containsExactly(1, 2, 3, 4);
    assertThat(read.vocabulary()).hasValue(10);
    assertThat(SafeTensors.open(dir.resolve(AdapterFiles.TENSORS)).names())
        .contains("base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta");

    // PEFT writes a list where it was given one.
    Path file = dir.resolve(AdapterFiles.CONFIG);
    String list =
        Files.readString(file)
            .replaceFirst(
                "(?s)\"trainable_token_indices\": \\{.*?\\}",
                "\"trainable_token_indices\": [9, 3]");
    Files.writeString(file, list);
    assertThat(AdapterFiles.read(dir).config()).isEqualTo(config);
  }

  @Test
  void readsBackWhatItWrote() {
    LoraConfig config =
        LoraConfig.builder(new Modules.Pattern(".*proj"))
            .rank(4)
            .alpha(2.5)
            .dropout(0.05)
            .excludeModules(new Modules.Names(List.of("k_proj")))
            .layersToTransform(List.of(0, 1))
            .layersPattern(List.of("layers"))
            .rankPattern(Map.of("up_proj", 3))
            .alphaPattern(Map.of("up_proj", 7.0))
            .initialization(Initialization.GAUSSIAN)
            .build();
    PeftAdapter adapter =
        new PeftAdapter(config, null, Map.of(Q, lowRank(20, 20, 4), UP, lowRank(28, 20, 3)));
    AdapterFiles.write(dir, adapter);
    PeftAdapter read = AdapterFiles.read(dir);
    assertThat(read.config()).isEqualTo(config);
    assertThat(read.baseModel()).isNull();
    assertThat(read.modules().keySet()).containsExactly(Q, UP);
    assertThat(update(read, UP).b().toFloats()).isEqualTo(update(adapter, UP).b().toFloats());
    try (SafeTensors file = SafeTensors.open(dir.resolve(AdapterFiles.TENSORS))) {
      assertThat(file.metadata()).isEqualTo(Map.of("format", "pt"));
      assertThat(file.names())
          .containsExactly(
              "base_model.model." + Q + ".lora_A.weight",
              "base_model.model." + Q + ".lora_B.weight",
              "base_model.model." + UP + ".lora_A.weight",
              "base_model.model." + UP + ".lora_B.weight");
    }
  }

  @Test
  void magnitudesOfWeightDecomposedUpdates() throws IOException {
    writeConfig(",'use_dora':true");
    Tensor magnitude = TinyCheckpoint.random(Shape.of(20), DType.F32, new Random(3));
    writeTensors(
        Map.of(
            ".lora_A.weight", zeros(8, 20),
            ".lora_B.weight", zeros(20, 8),
            ".lora_magnitude_vector", magnitude));
    PeftAdapter read = AdapterFiles.read(dir);
    assertThat(read.config().weightDecomposed()).isTrue();
    AdapterFiles.write(dir, read);
    Tensor again = requireNonNull(update(AdapterFiles.read(dir), Q).magnitude());
    assertThat(again.toFloats()).isEqualTo(magnitude.toFloats());
    try (SafeTensors file = SafeTensors.open(dir.resolve(AdapterFiles.TENSORS))) {
      assertThat(file.names()).contains("base_model.model." + Q + ".lora_magnitude_vector");
    }
    assertThat(dir.resolve(AdapterFiles.CONFIG)).content().contains("\"use_dora\": true");
  }

  @Test
  void magnitudesThatAreMissingLeftOverOrOfTheWrongSize() throws IOException {
    Map<String, Tensor> plain =
        Map.of(".lora_A.weight", zeros(8, 20), ".lora_B.weight", zeros(20, 8));
    Map<String, Tensor> decomposed = new TreeMap<>(plain);
    decomposed.put(".lora_magnitude_vector", Tensor.ofFloats(Shape.of(19), new float[19]));
    writeConfig("");
    writeTensors(decomposed);
    assertInputError("lora_magnitude_vector'", "use_dora is not set");
    writeConfig(",'use_dora':true");
    assertInputError("lora_magnitude_vector'", "F32 [19]", "each of 20 outputs");
    writeTensors(plain);
    assertInputError("not its magnitudes", Q + ".lora_magnitude_vector'");
    decomposed.remove(".lora_A.weight");
    decomposed.remove(".lora_B.weight");
    writeTensors(decomposed);
    assertInputError("lora_magnitude_vector'", "but not", ".lora_A.weight'");
  }

  private void assertInputError(String... parts) {
    assertThatThrownBy(() -> AdapterFiles.read(dir))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("adapter_model.safetensors")
        .hasMessageContainingAll(parts);
  }

  @Test
  void updatesOfEmbeddingAndHeadAndTheirBaseCopies() throws IOException {
    writeConfig("");
    String prefix = "base_model.model.";
    Map<String, Tensor> tensors = new TreeMap<>();
    tensors.put(prefix + "model.embed_tokens.lora_embedding_A", zeros(8, 30));
    tensors.put(prefix + "model.embed_tokens.lora_embedding_B", zeros(20, 8));
    tensors.put(prefix + "model.embed_tokens.base_layer.weight", zeros(30, 20));
    tensors.put(prefix + "lm_head.lora_A.weight", zeros(8, 20));
    tensors.put(prefix + "lm_head.lora_B.weight", zeros(30, 8));
    SafeTensorsWriter.write(dir.resolve(AdapterFiles.TENSORS), tensors, Map.of());

    PeftAdapter read = AdapterFiles.read(dir);

    assertThat(read.modules().keySet()).containsExactly("lm_head", "model.embed_tokens");
    assertThat(read.baseCopies().keySet()).containsExactly("model.embed_tokens");
    AdapterFiles.write(dir, read);
    try (SafeTensors file = SafeTensors.open(dir.resolve(AdapterFiles.TENSORS))) {
      tensors.remove(prefix + "model.embed_tokens.base_layer.weight");
      assertThat(file.names()).containsExactlyInAnyOrderElementsOf(tensors.keySet());
    }
    tensors.remove(prefix + "model.embed_tokens.lora_embedding_B");
    SafeTensorsWriter.write(dir.resolve(AdapterFiles.TENSORS), tensors, Map.of());
    assertInputError("lora_embedding_A'", "but not", "lora_embedding_B'");
  }

  @Test
  void modulesToSaveNeedTheirTensors() throws IOException {
    writeConfig(",'modules_to_save':['lm_head']");
    writeTensors(Map.of(".lora_A.weight", zeros(8, 20), ".lora_B.weight", zeros(20, 8)));
    assertThatThrownBy(() -> AdapterFiles.read(dir))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("adapter_model.safetensors")
        .hasMessageContaining("'lm_head', which modules_to_save names");
  }

  @Test
  void allLinearIsSavedExpanded() throws IOException {
    AdapterFiles.write(
        dir,
        new PeftAdapter(
            plain(new Modules.AllLinear()),
            null,
            Map.of(UP, lowRank(28, 20, 8), Q, lowRank(20, 20, 8))));
    assertThat(Files.readString(dir.resolve(AdapterFiles.CONFIG)))
        .contains("\"target_modules\": [\n    \"q_proj\",\n    \"up_proj\"\n  ]");
  }

  @Test
  void otherFloatingTypesBecomeF32() throws IOException {
    writeConfig("");
    Tensor a = TinyCheckpoint.random(Shape.of(8, 20), DType.BF16, new Random(3));
    writeTensors(Map.of(".lora_A.weight", a, ".lora_B.weight", zeros(20, 8)));
    LowRank update = update(AdapterFiles.read(dir), Q);
    assertThat(update.a().dtype()).isEqualTo(DType.F32);
    assertThat(update.a().toFloats()).isEqualTo(a.toFloats());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '~',
      value = {
        "'bias':'all' | 'bias' is 'all'",
        "'lora_bias':true | 'lora_bias'",
        "'layer_replication':[[0,1]] | 'layer_replication'",
        "'target_parameters':['x'] | 'target_parameters'",
        "'fan_in_fan_out':true | 'fan_in_fan_out'",
        "'task_type':'SEQ_CLS' | 'task_type' is 'SEQ_CLS'",
        "'init_lora_weights':'pissa' | 'init_lora_weights' is 'pissa'",
        "'some_new_method':{'x':1} | 'some_new_method'"
      })
  void otherMethodsAreUnsupported(String fields, String expected) throws IOException {
    writeConfig("," + fields);
    assertThatThrownBy(() -> AdapterFiles.read(dir))
        .isInstanceOf(UnsupportedException.class)
        .hasMessageContaining("adapter_config.json")
        .hasMessageContaining(expected);
  }

  @ParameterizedTest
  @CsvSource({
    ".base_layer.weight",
    ".lora_embedding_A",
    ".lora_B.bias",
    ".token_adapter.trainable_tokens_delta"
  })
  void tensorsOfOtherMethodsAreUnsupported(String suffix) throws IOException {
    writeConfig("");
    writeTensors(Map.of(suffix, zeros(8, 20)));
    assertThatThrownBy(() -> AdapterFiles.read(dir))
        .isInstanceOf(UnsupportedException.class)
        .hasMessageContaining(suffix);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '~',
      value = {
        "'r':-3 | 'r' is '-3'",
        "'r':'8' | 'r' is",
        "'lora_dropout':1 | 'lora_dropout'",
        "'lora_alpha':'x' | 'lora_alpha'",
        "'rank_pattern':{'(':4} | rank_pattern: '('",
        "'rank_pattern':{'q_proj':0} | 'rank_pattern.q_proj' is '0'",
        "'layers_to_transform':[-1] | 'layers_to_transform'"
      })
  void wrongValuesAreRefused(String fields, String expected) throws IOException {
    writeConfig("," + fields);
    writeTensors(Map.of(".lora_A.weight", zeros(8, 20), ".lora_B.weight", zeros(20, 8)));
    assertThatThrownBy(() -> AdapterFiles.read(dir))
        .isInstanceOf(InputException.class)
        .hasMessageContaining(expected);
  }

  @Test
  void targetsAreRequired() throws IOException {
    Files.writeString(dir.resolve(AdapterFiles.CONFIG), "{\"peft_type\":\"LORA\"}");
    assertRefused("'target_modules' is missing");
    Files.writeString(dir.resolve(AdapterFiles.CONFIG), "{\"peft_type\":\"MAGIC\"}");
    assertRefused("'peft_type' is 'MAGIC'");
  }

  @Test
  void tensorsMustBeCompleteAndOfTheRank() throws IOException {
    assertRefused("adapter_config.json does not exist");
    writeConfig("");
    assertRefused("adapter_model.safetensors does not exist");
    writeTensors(Map.of(".lora_A.weight", zeros(8, 20)));
    assertRefused("q_proj.lora_A.weight' but not 'base_model.model." + Q + ".lora_B.weight'");
    writeTensors(Map.of(".lora_B.weight", zeros(20, 8)));
    assertRefused("but not 'base_model.model." + Q + ".lora_A.weight'");
    writeTensors(Map.of(".lora_A.weight", zeros(4, 20), ".lora_B.weight", zeros(20, 8)));
    assertRefused("lora_A.weight' has shape [4, 20], but the configuration gives it rank 8");
    writeTensors(Map.of(".lora_A.weight", zeros(8, 20), ".lora_B.weight", zeros(20, 4)));
    assertRefused("lora_B.weight' has shape [20, 4]");
    writeTensors(Map.of(".weight", zeros(8, 20)));
    assertRefused("is no LoRA factor");
    writeTensors(Map.of());
    assertRefused("holds no LoRA tensors");
  }

  @Test
  void updatesMustFitTheModel() throws IOException {
    ModelConfig model =
        ModelConfigReader.read(
            Files.writeString(dir.resolve("config.json"), TinyCheckpoint.CONFIG));
    LoraConfig config = plain(new Modules.AllLinear());
    new PeftAdapter(config, null, Map.of(UP, lowRank(28, 20, 8))).requireFits(model, "here");
    assertThatThrownBy(() ->
            new PeftAdapter(config, null, Map.of("model.layers.9.mlp.up_proj", lowRank(1, 1, 8)))
                .requireFits(model, "here"))
        .isInstanceOf(InputException.class)
        .hasMessage(
            "here holds tensors for 'model.layers.9.mlp.up_proj', which the base model does not have");
    assertThatThrownBy(() ->
            new PeftAdapter(config, null, Map.of(UP, lowRank(28, 21, 8)))
                .requireFits(model, "here"))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("[8, 21]")
        .hasMessageContaining(UP);
  }

  private static LowRank update(PeftAdapter adapter, String path) {
    return Objects.requireNonNull(adapter.modules().get(path));
  }

  private void assertRefused(String message) {
    assertThatThrownBy(() -> AdapterFiles.read(dir))
        .isInstanceOf(InputException.class)
        .hasMessageContaining(dir.toString())
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
  }

  private void writeConfig(String fields) throws IOException {
    String json = "{'peft_type':'LORA','target_modules':['q_proj']" + fields + "}";
    if (!fields.contains("'r'")) {
      json = json.replaceFirst("'target", "'r':8,'target");
    }
    Files.writeString(dir.resolve(AdapterFiles.CONFIG), json.replace('\'', '"'));
  }

  private void writeTensors(Map<String, Tensor> bySuffix) {
    Map<String, Tensor> tensors = new TreeMap<>();
    bySuffix.forEach((suffix, tensor) -> tensors.put("base_model.model." + Q + suffix, tensor));
    SafeTensorsWriter.write(dir.resolve(AdapterFiles.TENSORS), tensors, Map.of());
  }

  private static LoraConfig plain(Modules targets) {
    return LoraConfig.builder(targets).alpha(16).build();
  }

  private static LowRank lowRank(int out, int in, int rank) {
    Random random = new Random(out);
    return new LowRank(
        TinyCheckpoint.random(Shape.of(rank, in), DType.F32, random),
        TinyCheckpoint.random(Shape.of(out, rank), DType.F32, random));
  }

  private static Tensor zeros(int rows, int cols) {
    return Tensor.ofFloats(Shape.of(rows, cols), new float[rows * cols]);
  }
}
