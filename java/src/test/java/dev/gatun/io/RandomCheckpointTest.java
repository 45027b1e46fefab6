package dev.gatun.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.cpu.CpuBackend;
import dev.gatun.model.ModelWeights;
import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RandomCheckpointTest {
  private static final String CONFIG =
      """
      {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "torch_dtype": "bfloat16",
       "hidden_size": 96, "intermediate_size": 200, "num_hidden_layers": 2,
       "num_attention_heads": 6, "num_key_value_heads": 2, "vocab_size": 12000,
       "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "max_position_embeddings": 512,
       "tie_word_embeddings": false, "hidden_act": "silu", "initializer_range": 0.05}
      """;

  @TempDir Path folder;
  private Path config;

  @BeforeEach
  void writeConfig() throws IOException {
    config = folder.resolve("given.json");
    Files.writeString(config, CONFIG);
  }

  private RandomCheckpoint.Summary write(String name, long seed, DType type, boolean nf4) {
    return RandomCheckpoint.write(
        config,
        folder.resolve(name),
        new RandomCheckpoint.Settings(seed, type, nf4, RandomCheckpoint.SHARD_BYTES));
  }

  @Test
  void weightsAreNormalAndNormsNeutral() {
    RandomCheckpoint.Summary summary = write("model", 1, null, false);

    try (Checkpoint checkpoint = Checkpoint.open(folder.resolve("model"))) {
      float[] embedding = checkpoint.tensor("model.embed_tokens.weight").toFloats();
      double mean = 0;
      double square = 0;
      int beyondTwo = 0;
      for (float value : embedding) {
        mean += value;
        square += (double) value * value;
        beyondTwo += Math.abs(value) > 0.1 ? 1 : 0;
      }
      int count = embedding.length;
      // Five standard errors of each figure of a true normal sample of this size.
      assertThat(mean / count).isBetween(-0.00024, 0.00024);
      assertThat(Math.sqrt(square / count)).isBetween(0.0498, 0.0502);
      assertThat((double) beyondTwo / count).isBetween(0.0445, 0.0465);
      assertThat(checkpoint.tensor("model.norm.weight").toFloats()).containsOnly(1);
      assertThat(checkpoint.tensor("model.layers.1.self_attn.k_proj.bias").toFloats())
          .containsOnly(0);
      assertThat(summary.tensors()).isEqualTo(checkpoint.names().size());
    }
  }

  @Test
  void neighboursAreNotCorrelated() {
    write("model", 3, DType.F32, false);

    try (Checkpoint checkpoint = Checkpoint.open(folder.resolve("model"))) {
      float[] x = checkpoint.tensor("lm_head.weight").toFloats();
      for (int lag : new int[] {1, 2, 3, 4, 96}) {
        double product = 0;
        for (int i = 0; i + lag < x.length; i++) {
          product += (double) x[i] * x[i + lag];
        }
        assertThat(product / x.length / (0.05 * 0.05)).as("lag %d", lag).isBetween(-0.005, 0.005);
      }
    }
  }

  @Test
  void equalArgumentsGiveEqualFilesAndAnotherSeedGivesOthers() throws IOException {
    write("a", 7, null, true);
    write("b", 7, null, true);
    write("c", 8, null, true);

    Path tensors = Path.of("model.safetensors");
    assertThat(Files.mismatch(path("a", tensors), path("b", tensors))).isEqualTo(-1);
    assertThat(Files.mismatch(path("a", tensors), path("c", tensors))).isNotEqualTo(-1);
  }

  private Path path(String name, Path file) {
    return folder.resolve(name).resolve(file);
  }

  @Test
  void quantisedOnTheFlyIsWhatQuantisingWhileLoadingGives() {
    write("dense", 5, null, false);
    write("packed", 5, null, true);

    try (Checkpoint dense = Checkpoint.open(folder.resolve("dense"));
        Checkpoint packed = Checkpoint.open(folder.resolve("packed"));
        Backend backend = CpuBackend.create();
        TensorArena first = arena(backend, dense, WeightFormat.Nf4.DOUBLE);
        TensorArena second = arena(backend, packed, new WeightFormat.AsStored())) {
      ModelWeights loaded = ModelLoader.load(dense, backend, first, WeightFormat.Nf4.DOUBLE);
      ModelWeights stored = ModelLoader.load(packed, backend, second, new WeightFormat.AsStored());

      assertThat(stored.linears().keySet()).isEqualTo(loaded.linears().keySet());
      stored
          .linears()
          .forEach((path, weight) ->
              assertThat(values(backend, weight))
                  .as(path)
                  .isEqualTo(values(backend, loaded.linear(path))));
    }
  }

  private static TensorArena arena(Backend backend, Checkpoint checkpoint, WeightFormat format) {
    return backend.arena("weights", ModelLoader.plannedBytes(checkpoint, backend, format) + 256);
  }

  private static float[] values(Backend backend, Weight weight) {
    long count = weight.out() * weight.in();
    try (TensorArena arena = backend.arena("values", TensorArena.sizeOf(DType.F32, count))) {
      Tensor values = arena.allocate(DType.F32, Shape.of(weight.out(), weight.in()));
      backend.quant().dequantize(values, weight);
      return backend.download(values).toFloats();
    }
  }

  @Test
  void shardsHoldTheSameTensorsAsOneFile() throws IOException {
    write("one", 2, null, false);
    RandomCheckpoint.Summary summary =
        RandomCheckpoint.write(
            config,
            folder.resolve("many"),
            new RandomCheckpoint.Settings(2, null, false, 1_000_000));

    assertThat(summary.files()).isGreaterThan(2);
    try (Stream<Path> files = Files.list(folder.resolve("many"))) {
      assertThat(files.map(file -> file.getFileName().toString()))
          .contains("model.safetensors.index.json")
          .contains("model-00001-of-%05d.safetensors".formatted(summary.files()));
    }
    try (Checkpoint one = Checkpoint.open(folder.resolve("one"));
        Checkpoint many = Checkpoint.open(folder.resolve("many"))) {
      assertThat(new TreeMap<>(all(many)).keySet()).isEqualTo(new TreeMap<>(all(one)).keySet());
      all(one)
          .forEach((name, values) ->
              assertThat(many.tensor(name).toFloats()).as(name).isEqualTo(values));
    }
  }

  private static Map<String, float[]> all(Checkpoint checkpoint) {
    Map<String, float[]> all = new TreeMap<>();
    checkpoint.names().forEach(name -> all.put(name, checkpoint.tensor(name).toFloats()));
    return all;
  }

  @Test
  void theConfigurationSaysWhatWasWritten() {
    write("packed", 5, DType.F16, true);

    JsonObject written = JsonObject.read(folder.resolve("packed/config.json"));
    assertThat(written.string("torch_dtype")).isEqualTo("float16");
    assertThat(written.number("initializer_range")).isEqualTo(0.05);
    JsonObject quantization = written.object("quantization_config");
    assertThat(quantization).isNotNull();
    assertThat(List.of(quantization.string("bnb_4bit_quant_type"))).containsExactly("nf4");
  }

  @Test
  void anUnknownFamilyIsNamed() throws IOException {
    Files.writeString(config, CONFIG.replace("qwen2", "mamba"));

    assertThatThrownBy(() -> write("model", 1, null, false))
        .isInstanceOf(InputException.class)
        .hasMessageContainingAll("given.json", "mamba");
  }
}
