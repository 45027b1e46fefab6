package dev.gatun.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.UnsupportedException;
import dev.gatun.model.ModelConfig;
import dev.gatun.model.ModelConfig.Biases;
import dev.gatun.model.ModelConfig.Layer;
import dev.gatun.model.Rope;
import dev.gatun.op.MlpOps.Activation;
import dev.gatun.tensor.DType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ModelConfigReaderTest {
  private static final String SIZES =
      "'hidden_size':64,'num_attention_heads':8,'num_hidden_layers':3,'intermediate_size':100,'vocab_size':300";

  @TempDir Path dir;

  @Test
  void llamaHasTheDefaultsOfTransformers() throws IOException {
    ModelConfig config = read("'model_type':'llama'");
    assertThat(config.keyValueHeads()).isEqualTo(8);
    assertThat(config.headSize()).isEqualTo(8);
    assertThat(config.normEpsilon()).isEqualTo(1e-6f);
    assertThat(config.rope()).isEqualTo(new Rope(10_000, 8, new Rope.Scaling.Default()));
    assertThat(config.maxPositions()).isEqualTo(2048);
    assertThat(config.biases()).isEqualTo(new Biases(false, false, false));
    assertThat(config.activation()).isEqualTo(Activation.SILU);
    assertThat(config.tiedEmbeddings()).isFalse();
    assertThat(config.queryKeyNorm()).isFalse();
    assertThat(config.eosTokenIds()).containsExactly(2);
    assertThat(config.bosTokenId()).isEqualTo(1);
    assertThat(config.padTokenId()).isNull();
    assertThat(config.quantization()).isNull();
    assertThat(config.layers()).containsOnly(new Layer(0)).hasSize(3);
    assertThat(config.attentionScale()).isEqualTo((float) (1 / Math.sqrt(8)));
  }

  @Test
  void familiesDifferInWhatTheyDoNotSpellOut() throws IOException {
    ModelConfig qwen2 = read("'model_type':'qwen2','num_key_value_heads':4");
    assertThat(qwen2.biases()).isEqualTo(new Biases(true, false, false));
    assertThat(qwen2.eosTokenIds()).isEmpty();
    ModelConfig qwen3 = read("'model_type':'qwen3','num_key_value_heads':null");
    assertThat(qwen3.headSize()).isEqualTo(128);
    assertThat(qwen3.keyValueHeads()).isEqualTo(8);
    assertThat(qwen3.queryKeyNorm()).isTrue();
    assertThat(read("'model_type':'qwen3','num_key_value_heads':8,'attention_bias':true").biases())
        .isEqualTo(new Biases(true, true, false));
    ModelConfig mistral = read("'model_type':'mistral'");
    assertThat(mistral.layers()).containsOnly(new Layer(4096));
    assertThat(read("'model_type':'mistral','sliding_window':null").layers())
        .containsOnly(new Layer(0));
    assertThat(read("'model_type':'mistral','sliding_window':7").layers())
        .containsOnly(new Layer(7));
  }

  @Test
  void qwenWindowsFollowTheLayers() throws IOException {
    String qwen = "'model_type':'qwen2','num_key_value_heads':8,'sliding_window':5,";
    assertThat(read(qwen + "'max_window_layers':1").layers()).containsOnly(new Layer(0));
    assertThat(read(qwen + "'use_sliding_window':true,'max_window_layers':1").layers())
        .containsExactly(new Layer(0), new Layer(5), new Layer(5));
    assertThat(
            read(qwen
                    + "'use_sliding_window':true,'layer_types':['sliding_attention','full_attention','sliding_attention']")
                .layers())
        .containsExactly(new Layer(5), new Layer(0), new Layer(5));
  }

  @Test
  void bothSpellingsOfRopeMeanTheSame() throws IOException {
    String fields =
        "'factor':8.0,'low_freq_factor':1.0,'high_freq_factor':4,'original_max_position_embeddings':32";
    Rope expected = new Rope(5e5, 8, new Rope.Scaling.Llama3(8, 1, 4, 32));
    assertThat(
            read("'model_type':'llama','rope_parameters':{'rope_type':'llama3','rope_theta':500000.0,"
                    + fields
                    + "}")
                .rope())
        .isEqualTo(expected);
    assertThat(
            read("'model_type':'llama','rope_theta':500000,'rope_scaling':{'type':'llama3',"
                    + fields
                    + "}")
                .rope())
        .isEqualTo(expected);
  }

  @Test
  void readsEveryRopeScaling() throws IOException {
    String llama = "'model_type':'llama','max_position_embeddings':128,'rope_scaling':";
    assertThat(read(llama + "{'type':'linear','factor':2}").rope().scaling())
        .isEqualTo(new Rope.Scaling.Linear(2));
    assertThat(read(llama + "{'rope_type':'dynamic','factor':3.0}").rope().scaling())
        .isEqualTo(new Rope.Scaling.Dynamic(3, 128));
    assertThat(
            read(llama + "{'rope_type':'yarn','factor':4.0,'mscale':0.5,'truncate':false}")
                .rope()
                .scaling())
        .isEqualTo(new Rope.Scaling.Yarn(4, 128, 32, 1, Double.NaN, 0.5, Double.NaN, false));
    assertThat(
            read("'model_type':'llama','original_max_position_embeddings':64,'rope_scaling':{'rope_type':'yarn','factor':4.0,'original_max_position_embeddings':32,'beta_fast':0}")
                .rope()
                .scaling())
        .isEqualTo(new Rope.Scaling.Yarn(4, 64, 32, 1, Double.NaN, Double.NaN, Double.NaN, true));
  }

  @Test
  void readsTypesTokensAndQuantisation() throws IOException {
    ModelConfig config =
        read(
            "'model_type':'llama','torch_dtype':'bfloat16','eos_token_id':[5,6],'pad_token_id':-1,"
                + "'quantization_config':{'quant_method':'bitsandbytes','load_in_4bit':true,"
                + "'bnb_4bit_quant_type':'nf4','bnb_4bit_use_double_quant':true,"
                + "'bnb_4bit_compute_dtype':'bfloat16','llm_int8_skip_modules':['lm_head']}");
    assertThat(config.dtype()).isEqualTo(DType.BF16);
    assertThat(config.eosTokenIds()).containsExactly(5, 6);
    assertThat(config.padTokenId()).isNull();
    ModelConfig.Quantization quantization = config.quantization();
    assertThat(quantization)
        .isEqualTo(new ModelConfig.Quantization("nf4", true, DType.BF16, List.of("lm_head")));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '~',
      value = {
        "'model_type':'qwen99' | 'qwen99'",
        "'model_type':'gemma2' | 'gemma2'",
        "'model_type':'llama','hidden_act':'relu' | 'relu'",
        "'model_type':'llama','rope_scaling':{'type':'warp'} | 'warp'",
        "'model_type':'llama','rope_scaling':{'type':'longrope'} | 'longrope'",
        "'model_type':'llama','dtype':'float8' | 'float8'",
        "'model_type':'llama','partial_rotary_factor':0.5 | 'partial_rotary_factor'",
        "'model_type':'qwen3','num_key_value_heads':8,'layer_types':['a','b','c'] | 'a'",
        "'model_type':'llama','quantization_config':{'quant_method':'gptq'} | 'gptq'",
        "'model_type':'llama','quantization_config':{'quant_method':'bitsandbytes','load_in_8bit':true} | 'bitsandbytes'"
      })
  void whatThisEngineLacksIsUnsupported(String fields, String named) {
    assertThatThrownBy(() -> read(fields))
        .isInstanceOf(UnsupportedException.class)
        .hasMessageContaining("config.json")
        .hasMessageContaining(named);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '~',
      value = {
        "'x':1 | 'model_type' is missing",
        "'model_type':7 | 'model_type' is '7', not a string",
        "'model_type':'llama','num_key_value_heads':3 | does not divide num_attention_heads 8",
        "'model_type':'llama','num_key_value_heads':0 | 'num_key_value_heads' is '0'",
        "'model_type':'llama','head_dim':9 | need an even size",
        "'model_type':'llama','head_dim':16777216 | 'head_dim' times",
        "'model_type':'llama','rms_norm_eps':'1e-6' | not a finite number",
        "'model_type':'llama','rms_norm_eps':-1 | not from 0 to 1",
        "'model_type':'llama','tie_word_embeddings':'no' | not true or false",
        "'model_type':'llama','layer_types':['full_attention'] | has 1 entries",
        "'model_type':'llama','rope_scaling':{'type':'linear'} | 'rope_scaling.factor' is missing",
        "'model_type':'llama','rope_scaling':{'type':'linear','factor':0} | not positive",
        "'model_type':'llama','rope_scaling':7 | not an object",
        "'model_type':'llama','max_position_embeddings':0 | 'max_position_embeddings'",
        "'model_type':'llama','model_type':'llama' | Duplicate"
      })
  void wrongValuesAreRefusedWithFileAndKey(String fields, String expected) {
    assertThatThrownBy(() -> read(fields))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("config.json")
        .hasMessageContaining(expected);
  }

  @Test
  void sizesAreRequired() throws IOException {
    List<String> keys =
        List.of(
            "hidden_size",
            "num_attention_heads",
            "num_hidden_layers",
            "intermediate_size",
            "vocab_size");
    for (String key : keys) {
      String without = SIZES.replaceAll("'" + key + "':\\d+,?", "").replaceAll(",$", "");
      Path file = write("{'model_type':'llama'," + without + "}");
      assertThatThrownBy(() -> ModelConfigReader.read(file))
          .isInstanceOf(InputException.class)
          .hasMessageContaining("'" + key + "' is missing");
    }
  }

  @Test
  void generationConfigIsLenient() throws IOException {
    Path file =
        Files.writeString(
            dir.resolve("generation_config.json"),
            "{\"eos_token_id\":[1,2],\"do_sample\":true,\"temperature\":0.6,\"top_k\":20,\"top_p\":0.95,\"other\":{}}");
    assertThat(GenerationConfig.read(file))
        .isEqualTo(new GenerationConfig(List.of(1, 2), null, true, 0.6, 20, 0.95));
    Files.writeString(file, "{\"eos_token_id\":7}");
    assertThat(GenerationConfig.read(file).eosTokenIds()).containsExactly(7);
    Files.writeString(file, "{}");
    assertThat(GenerationConfig.read(file)).isEqualTo(GenerationConfig.EMPTY);
  }

  private ModelConfig read(String fields) throws IOException {
    return ModelConfigReader.read(write("{" + fields + "," + SIZES + "}"));
  }

  private Path write(String json) throws IOException {
    return Files.writeString(dir.resolve("config.json"), json.replace('\'', '"'));
  }
}
