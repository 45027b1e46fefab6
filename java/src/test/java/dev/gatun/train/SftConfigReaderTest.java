package dev.gatun.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.data.OverlongPolicy;
import dev.gatun.data.PackingStrategy;
import dev.gatun.model.LoraConfig;
import dev.gatun.model.LoraConfig.Initialization;
import dev.gatun.model.LoraConfig.Modules;
import dev.gatun.train.SftConfig.Interval;
import dev.gatun.train.SftConfig.OptimizerName;
import dev.gatun.train.SftConfig.SamplingStrategy;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvFileSource;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SftConfigReaderTest {
  private static final String REQUIRED =
      """
      model_name_or_path: model
      dataset_path: train.jsonl
      output_dir: out
      """;

  private static SftConfig config(String more) {
    return SftConfigReader.parse("c.yaml", REQUIRED + more, List.of()).config();
  }

  private static LoraConfig lora(SftConfig config) {
    return Objects.requireNonNull(config.lora());
  }

  private static void refused(String more, String... parts) {
    assertThatThrownBy(() -> config(more))
        .as(more)
        .isInstanceOf(InputException.class)
        .satisfies(e -> assertThat(e.getMessage()).contains(parts));
  }

  @Test
  void aPathThatCannotBeIsRefused() {
    refused("cache_dir: \"\\ud800\"\n", "cache_dir must be a path in characters");
    refused("cache_dir: \"a\\0\"\n", "cache_dir must be a path");
  }

  @Test
  void aPatternBeyondReasonIsRefusedAtOnce() {
    refused(
        "lora_target_modules: '" + "x".repeat(300_000) + "'\n",
        "at most 1000 characters",
        "of 300000 characters");
  }

  @Test
  void defaultsAreThoseOfTrlAndPeft() {
    SftConfig config = config("");

    assertThat(config.optimization())
        .isEqualTo(
            new SftConfig.Optimization(
                2e-5,
                "linear",
                Map.of(),
                0,
                OptimizerName.ADAMW_TORCH_FUSED,
                0,
                null,
                null,
                0,
                0.9,
                0.999,
                1e-8,
                1.0));
    assertThat(config.loop())
        .isEqualTo(
            new SftConfig.Loop(
                8,
                1,
                3,
                null,
                SftConfig.GradientCheckpointing.ON,
                false,
                null,
                42,
                null,
                SamplingStrategy.RANDOM,
                false,
                null));
    assertThat(config.data().maxLength()).isEqualTo(1024);
    assertThat(config.data().overlongPolicy()).isEqualTo(OverlongPolicy.ERROR);
    assertThat(config.data().packing()).isFalse();
    assertThat(config.evaluation().loggingSteps()).isEqualTo(10);
    assertThat(config.output().saveSteps()).isEqualTo(500);
    assertThat(config.lora()).isNotNull();
    assertThat(lora(config).rank()).isEqualTo(16);
    assertThat(lora(config).targets()).isEqualTo(new Modules.Names(List.of("q_proj", "v_proj")));
  }

  @Test
  void theBuilderHasTheSameDefaults() {
    SftConfig built =
        SftConfig.builder()
            .modelNameOrPath(Path.of("model"))
            .datasetPath(Path.of("train.jsonl"))
            .outputDir(Path.of("out"))
            .build();

    assertThat(built).isEqualTo(config(""));
    assertThat(built.toBuilder().build()).isEqualTo(built);
  }

  @Test
  void everyKindOfValueIsRead() {
    SftConfig config =
        config(
            """
            learning_rate: 2e-4
            lr_scheduler_type: cosine_with_min_lr
            lr_scheduler_kwargs: {min_lr_rate: 0.1}
            warmup_steps: 0.1
            optim: sgd
            momentum: 0.9
            max_steps: -1
            max_length: null
            seed: 7
            data_seed: 4294967295
            eval_dataset_path: [a.jsonl, b.jsonl]
            eval_strategy: no
            save_strategy: epoch
            neftune_noise_alpha: 5
            packing_strategy: bfd-requeue
            load_in_4bit: true
            bnb_4bit_quant_type: nf4
            lora:
              r: 4
              lora_alpha: 8
              lora_dropout: 0
              target_modules: all-linear
              rank_pattern: {q_proj: 2}
              init_lora_weights: gaussian
              bias: none
            """);

    assertThat(config.optimization().learningRate()).isEqualTo(2e-4);
    assertThat(config.optimization().lrSchedulerKwargs()).containsEntry("min_lr_rate", 0.1);
    assertThat(config.optimization().optim()).isEqualTo(OptimizerName.SGD);
    assertThat(config.loop().maxSteps()).isNull();
    assertThat(config.loop().orderSeed()).isEqualTo(4294967295L);
    assertThat(config.data().maxLength()).isNull();
    assertThat(config.data().evalDatasetPath()).hasSize(2);
    assertThat(config.data().packingStrategy()).isEqualTo(PackingStrategy.BFD_SPLIT);
    assertThat(config.evaluation().evalStrategy()).isEqualTo(Interval.NO);
    assertThat(config.output().saveStrategy()).isEqualTo(Interval.EPOCH);
    assertThat(lora(config).rank()).isEqualTo(4);
    assertThat(lora(config).targets()).isEqualTo(new Modules.AllLinear());
    assertThat(lora(config).rankPattern()).containsEntry("q_proj", 2);
    assertThat(lora(config).initialization()).isEqualTo(Initialization.GAUSSIAN);
  }

  @Test
  void aListOfModulesIsNamesAndATextAPattern() {
    assertThat(lora(config("lora_target_modules: [q_proj]")).targets())
        .isEqualTo(new Modules.Names(List.of("q_proj")));
    assertThat(lora(config("lora_target_modules: '.*q_proj'")).targets())
        .isEqualTo(new Modules.Pattern(".*q_proj"));
    refused("lora_target_modules: '(q'", "c.yaml:4:", "regular expression");
  }

  @Test
  void jsonIsReadToo() {
    SftConfig config =
        SftConfigReader.parse(
                "c.json",
                """
                {"model_name_or_path": "m", "dataset_path": "d", "output_dir": "o",
                 "learning_rate": 1e-3}
                """,
                List.of())
            .config();

    assertThat(config.optimization().learningRate()).isEqualTo(1e-3);
  }

  @ParameterizedTest
  @CsvSource({
    "learning_rat: 1, learning_rate",
    "max_lenght: 5, max_length",
    "lora_rank: 5, lora_r",
    "gradient_acumulation_steps: 2, gradient_accumulation_steps"
  })
  void anUnknownKeyIsNamedWithItsPlaceAndTheNearestKey(String line, String nearest) {
    refused("# a comment\n" + line, "c.yaml:5:1: unknown key", "did you mean '" + nearest + "'");
  }

  @Test
  void anUnknownKeyInASectionIsNamedToo() {
    refused("lora:\n  rr: 5\n", "c.yaml:5:3: unknown key 'rr'");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "learning_rate: fast",
        "learning_rate: -1",
        "learning_rate: .nan",
        "learning_rate: '1e-4'",
        "max_length: 0",
        "max_length: 1.5",
        "max_length: true",
        "per_device_train_batch_size: 0",
        "gradient_accumulation_steps: -2",
        "num_train_epochs: 0",
        "warmup_steps: 1.5",
        "warmup_steps: -1",
        "adam_beta1: 1",
        "max_grad_norm: -1",
        "lora_dropout: 1",
        "lora_r: 0",
        "seed: -1",
        "seed: 99999999999999999999",
        "packing: maybe",
        "device: tpu",
        "logging_steps: 0",
        "dataset_text_field: [a]",
        "lr_scheduler_kwargs: 3",
        "rank_pattern: {q_proj: none}",
        "per_device_train_batch_size: null"
      })
  void aWrongTypeOrRangeIsNamedWithItsPlace(String line) {
    refused(line, "c.yaml:4:", line.substring(0, line.indexOf(':')));
  }

  @Test
  void anUnsupportedChoiceNamesTheNearest() {
    refused("optim: adamw_torch_xla", "c.yaml:4:8", "adamw_torch_xla", "nearest is 'adamw_torch'");
    refused("optim: adamw_4bit", "nearest is 'adamw_8bit'");
    refused("optim: lomo", "c.yaml:4:8", "lomo is not supported", "nearest is 'sgd'");
  }

  @ParameterizedTest
  @CsvFileSource(resources = "/dev/gatun/train/optimizer-names.csv")
  void everyOptimizerOfTransformersIsSupportedOrRefusedByName(String name) {
    boolean supported =
        Arrays.stream(OptimizerName.values())
            .anyMatch(own -> own.name().toLowerCase(Locale.ROOT).equals(name));
    if (supported) {
      assertThat(config("optim: " + name).optimization().optim().name())
          .isEqualToIgnoringCase(name);
    } else {
      refused("optim: " + name, name + " is not supported", "nearest is");
    }
    refused("optim: adamw_hf", "nearest is 'adamw_torch'");
    refused("lr_scheduler_type: cosin", "nearest is 'cosine'");
    refused("train_sampling_strategy: group_by_length", "random, sequential");
  }

  @ParameterizedTest
  @CsvSource({
    "max_seq_length: 99, max_length",
    "warmup_ratio: 0.25, warmup_steps",
    "evaluation_strategy: 'no', eval_strategy",
    "tokenizer: some/dir, tokenizer_name_or_path",
    "bnb_4bit_use_double_quant: true, use_bnb_nested_quant"
  })
  void olderNamesAreReadWithANotice(String line, String key) {
    SftConfigReader.Loaded loaded = SftConfigReader.parse("c.yaml", REQUIRED + line, List.of());

    assertThat(loaded.notices()).singleElement().asString().contains("c.yaml:4:1", key);
  }

  @Test
  void anOlderNameSetsTheKey() {
    assertThat(config("max_seq_length: 99").data().maxLength()).isEqualTo(99);
    assertThat(config("warmup_ratio: 0.25").optimization().warmupSteps()).isEqualTo(0.25);
    refused("warmup_ratio: 1", "c.yaml:4:", "warmup_ratio");
    refused("max_seq_length: 9\nmax_length: 8", "c.yaml:5:1", "max_seq_length in line 4");
  }

  @Test
  void keysWithoutEffectAreReported() {
    SftConfigReader.Loaded loaded =
        SftConfigReader.parse("c.yaml", REQUIRED + "bf16: true\ndataset_num_proc: 4\n", List.of());

    assertThat(loaded.notices()).hasSize(2).allMatch(notice -> notice.contains("has no effect"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "load_in_8bit: true",
        "loftq_config: {loftq_bits: 8}",
        "bnb_4bit_quant_type: fp4",
        "label_smoothing_factor: 0.1",
        "fp16: true",
        "task_type: SEQ_CLS",
        "random_state: 3407",
        "use_gradient_checkpointing: unsloth",
        "peft_type: IA3",
        "dataset_train_split: train_sft",
        "eva_config: {rho: 2.0}",
        "bias: all"
      })
  void whatIsMissingIsRefusedByName(String line) {
    refused(line, "c.yaml:4:1: " + line.substring(0, line.indexOf(':')), "not supported");
  }

  /// What a user of TRL has on disk after `SFTConfig.to_dict()`.
  @Test
  void everyFieldOfThePeersIsKnown() throws IOException {
    String text;
    try (InputStream in =
        Objects.requireNonNull(
            getClass().getResourceAsStream("/dev/gatun/train/peer-defaults.yaml"))) {
      text = new String(in.readAllBytes(), StandardCharsets.UTF_8);
    }
    SftConfig config = SftConfigReader.parse("peers.yaml", text, List.of()).config();

    assertThat(config.optimization().learningRate()).isEqualTo(2e-5);
    assertThat(Objects.requireNonNull(config.lora()).rank()).isEqualTo(8);
  }

  @Test
  void whatIsMissingMayBeSwitchedOff() {
    assertThat(config("use_dora: false\nmodules_to_save: null\nlabel_smoothing_factor: 0.0\n"))
        .isEqualTo(config(""));
  }

  @Test
  void duplicatesAreRefused() {
    refused("seed: 1\nseed: 2\n", "c.yaml:5:1", "line 4");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"a: [1", "a: b: c", "\ta: 1", "a: 1\n---\nb: 2", "seed: &x 1\ndata_seed: *x"})
  void malformedYamlIsRefusedWithItsPlace(String text) {
    refused(text, "c.yaml:");
  }

  @Test
  void filesThatAreNoConfigurationAreRefused(@TempDir Path directory) throws IOException {
    Path binary = Files.write(directory.resolve("b.yaml"), new byte[] {'a', ':', (byte) 0xff});
    Path empty = Files.writeString(directory.resolve("e.yaml"), "# nothing\n");
    Path list = Files.writeString(directory.resolve("l.yaml"), "- a\n");

    for (Path path : List.of(binary, empty, list, directory, directory.resolve("absent.yaml"))) {
      assertThatThrownBy(() -> SftConfigReader.read(path, List.of()))
          .isInstanceOf(InputException.class)
          .hasMessageContaining(path.toString());
    }
  }

  @Test
  void overridesWin() {
    SftConfig config =
        SftConfigReader.parse(
                "c.yaml",
                REQUIRED + "max_seq_length: 5\neval_dataset_path: e.jsonl\nlora:\n  r: 4\n",
                List.of(
                    "eval_dataset_path=null",
                    "max_length=null",
                    "lora.r=2",
                    "learning_rate=1e-2",
                    "seed=3",
                    "seed=4"))
            .config();

    assertThat(config.data().maxLength()).isNull();
    assertThat(config.data().evalDatasetPath()).isEmpty();
    assertThat(lora(config).rank()).isEqualTo(2);
    assertThat(config.optimization().learningRate()).isEqualTo(1e-2);
    assertThat(config.loop().seed()).isEqualTo(4);
  }

  @ParameterizedTest
  @CsvSource({"seed, key=value", "sed=3, --set sed", "seed=x, --set seed", "seed=[1, --set seed"})
  void aWrongOverrideIsNamed(String override, String expected) {
    assertThatThrownBy(() -> SftConfigReader.parse("c.yaml", REQUIRED, List.of(override)))
        .isInstanceOf(InputException.class)
        .hasMessageContaining(expected);
  }

  @Test
  void keysThatContradictEachOtherAreRefused() {
    refused("packing: true\nmax_length: null", "max_length");
    refused("padding_free: true", "max_length");
    refused("momentum: 0.9", "sgd");
    refused("eval_strategy: steps", "eval_dataset_path");
    refused("use_peft: false\nload_in_4bit: true", "load_in_4bit");
    assertThatThrownBy(() -> SftConfigReader.parse("c.yaml", "output_dir: o", List.of()))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("c.yaml: model_name_or_path is missing");
  }

  @Test
  void theBuilderMeetsTheSameBounds() {
    assertThatThrownBy(() -> config("").toBuilder().learningRate(-1).build())
        .isInstanceOf(InputException.class)
        .hasMessageContaining("learning_rate");
  }

  @Test
  void theResolvedConfigurationReadsBackAsItself() {
    for (String more :
        List.of(
            "",
            "use_peft: false\nmax_length: null\noptim: sgd\nlearning_rate: 1e-9\n",
            "lora_target_modules: '(a|b): x'\ndata_seed: 3\nlayers_to_transform: [0, 2]\n",
            "alpha_pattern: {'model.layers.0': 1.5}\nlr_scheduler_kwargs: {num_cycles: 2}\n",
            "dataset_text_field: 'no'\ndataset_path: ['a b.jsonl', '7']\n")) {
      String text =
          more.contains("dataset_path") ? REQUIRED.replaceFirst("dataset.*\n", "") : REQUIRED;
      SftConfig config = SftConfigReader.parse("c.yaml", text + more, List.of()).config();
      String yaml = SftConfigWriter.toYaml(config);

      assertThat(SftConfigReader.parse("again.yaml", yaml, List.of()))
          .as(yaml)
          .isEqualTo(new SftConfigReader.Loaded(config, List.of()));
    }
  }

  @Test
  void editDistance() {
    assertThat(NearestName.distance("kitten", "sitting")).isEqualTo(3);
    assertThat(NearestName.distance("", "abc")).isEqualTo(3);
    assertThat(NearestName.plausible("zzzzzzzz", List.of("seed"))).isEmpty();
  }
}
