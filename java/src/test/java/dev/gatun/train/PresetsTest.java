package dev.gatun.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.data.OverlongPolicy;
import dev.gatun.model.LoraConfig.Modules;
import dev.gatun.train.SftConfig.OptimizerName;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Test;

class PresetsTest {
  private static final String REQUIRED =
      """
      model_name_or_path: model
      dataset_path: train.jsonl
      output_dir: out
      """;

  private static SftConfig read(String more, String... overrides) {
    return SftConfigReader.parse("c.yaml", REQUIRED + more, List.of(overrides)).config();
  }

  @Test
  void trlTrainsEveryWeightAndCuts() {
    SftConfig config = read("preset: trl-1.13\n");

    assertThat(config.lora()).isNull();
    assertThat(config.data().overlongPolicy()).isEqualTo(OverlongPolicy.TRUNCATE);
    assertThat(config.data().maxLength()).isEqualTo(1024);
    assertThat(config.optimization().learningRate()).isEqualTo(2e-5);
    assertThat(config.optimization().weightDecay()).isZero();
    assertThat(config.loop().perDeviceTrainBatchSize()).isEqualTo(8);
    assertThat(config.loop().gradientAccumulationSteps()).isOne();
    assertThat(config.loop().seed()).isEqualTo(42);
    assertThat(config.evaluation().loggingSteps()).isEqualTo(10);
  }

  @Test
  void unslothTrainsAdaptersOverFourBits() {
    SftConfig config = read("preset: unsloth-2026.8\n");

    var lora = Objects.requireNonNull(config.lora());
    assertThat(lora.rank()).isEqualTo(16);
    assertThat(lora.alpha()).isEqualTo(16);
    assertThat(lora.dropout()).isZero();
    assertThat(lora.targets())
        .isEqualTo(
            new Modules.Names(
                List.of(
                    "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")));
    assertThat(config.model().loadIn4bit()).isTrue();
    assertThat(config.model().useBnbNestedQuant()).isTrue();
    assertThat(config.data().maxLength()).isEqualTo(2048);
    assertThat(config.optimization().learningRate()).isEqualTo(5e-5);
    assertThat(config.optimization().warmupSteps()).isEqualTo(0.1);
    assertThat(config.optimization().weightDecay()).isEqualTo(0.001);
    assertThat(config.optimization().optim()).isEqualTo(OptimizerName.ADAMW_8BIT);
    assertThat(config.loop().perDeviceTrainBatchSize()).isEqualTo(4);
    assertThat(config.evaluation().perDeviceEvalBatchSize()).isEqualTo(4);
    assertThat(config.loop().gradientAccumulationSteps()).isEqualTo(2);
    assertThat(config.loop().activationOffloading()).isTrue();
    assertThat(config.loop().seed()).isEqualTo(3407);
    assertThat(config.evaluation().loggingSteps()).isOne();
  }

  @Test
  void whatIsSetWinsWhereverItStands() {
    SftConfig config =
        read(
            "seed: 1\npreset: unsloth-2026.8\nmax_seq_length: 77\nlora:\n  r: 3\n",
            "learning_rate=0.5");

    assertThat(config.loop().seed()).isOne();
    assertThat(config.data().maxLength()).isEqualTo(77);
    assertThat(Objects.requireNonNull(config.lora()).rank()).isEqualTo(3);
    assertThat(config.optimization().learningRate()).isEqualTo(0.5);
    assertThat(config.optimization().weightDecay()).isEqualTo(0.001);
  }

  @Test
  void theCommandLineMayNameOneInsteadOfTheFiles() {
    assertThat(read("preset: trl-1.13\n", "preset=unsloth-2026.8").loop().seed()).isEqualTo(3407);
  }

  @Test
  void whatIsWrittenOutNeedsNoPreset() {
    SftConfig config = read("preset: unsloth-2026.8\nseed: 5\n");
    String yaml = SftConfigWriter.toYaml(config);

    assertThat(yaml).doesNotContain("preset");
    assertThat(SftConfigReader.parse("c.yaml", yaml, List.of()).config()).isEqualTo(config);
  }

  @Test
  void anUnknownOneIsRefusedWithTheNames() {
    assertThatThrownBy(() -> read("preset: trl-0.9\n"))
        .isInstanceOf(InputException.class)
        .hasMessageContainingAll("c.yaml:4", "preset", "trl-1.13, unsloth-2026.8");
    assertThatThrownBy(() -> read("prezet: trl-1.13\n")).hasMessageContaining("'preset'");
  }

  @Test
  void adapterKeysWithoutAnAdapterAreNotIgnored() {
    assertThatThrownBy(() -> read("preset: trl-1.13\nlora_r: 8\n"))
        .isInstanceOf(InputException.class)
        .hasMessageContainingAll("lora_r", "use_peft: true");
    SftConfig config = read("preset: trl-1.13\nlora_r: 8\nuse_peft: true\n");
    assertThat(Objects.requireNonNull(config.lora()).rank()).isEqualTo(8);
    assertThat(Objects.requireNonNull(config.lora()).alpha()).isEqualTo(32);
  }
}
