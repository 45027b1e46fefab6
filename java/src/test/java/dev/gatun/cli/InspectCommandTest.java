package dev.gatun.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.rules.Repository;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class InspectCommandTest {
  private static final Path MODEL =
      Repository.root().resolve("java/src/main/resources/dev/gatun/quickstart/model");

  @TempDir Path folder;

  @Test
  void aCheckpointIsSummarised() {
    Run run = Run.gatun("inspect", MODEL.toString());

    assertThat(run.err()).isEmpty();
    assertThat(run.exitCode()).isZero();
    assertThat(run.out())
        .containsPattern("model\\.embed_tokens\\.weight +BF16 +\\[1150, 192] +431\\.3 KiB")
        .containsPattern("family +llama \\(LlamaForCausalLM\\)")
        .containsPattern("attention +6 query heads, 2 key/value heads of 32")
        .contains("2.58 M BF16");
  }

  @Test
  void theSummaryAloneLeavesTheTensorsOut() {
    assertThat(Run.gatun("inspect", "--no-tensors", MODEL.toString()).out())
        .doesNotContain("embed_tokens");
  }

  @Test
  void aSafetensorsFileIsListed() {
    Run run = Run.gatun("inspect", MODEL.resolve("model.safetensors").toString());

    assertThat(run.out()).contains("model.norm.weight").doesNotContain("family");
  }

  @Test
  void whatAnAdapterTrainsBesidesItsModulesIsShown() throws IOException {
    Files.writeString(
        folder.resolve("adapter_config.json"),
        """
        {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj"],
         "base_model_name_or_path": "base", "rank_pattern": {"layers.0.q_proj": 4},
         "alpha_pattern": {}, "exclude_modules": null, "modules_to_save": ["lm_head"],
         "trainable_token_indices": {"embed_tokens": [5, 7]}}
        """);
    Files.copy(MODEL.resolve("model.safetensors"), folder.resolve("adapter_model.safetensors"));

    assertThat(Run.gatun("inspect", "--no-tensors", folder.toString()).out())
        .containsPattern("modules +q_proj\n")
        .containsPattern("rank_pattern +layers.0.q_proj: 4\n")
        .containsPattern("modules_to_save +lm_head\n")
        .containsPattern("trainable_token_indices +embed_tokens: 5, 7\n")
        .doesNotContain("alpha_pattern", "exclude_modules");
  }

  @Test
  void anUnsupportedArchitectureIsNamedAndItsTensorsAreStillListed() throws IOException {
    Files.copy(MODEL.resolve("model.safetensors"), folder.resolve("model.safetensors"));
    String config = Files.readString(MODEL.resolve("config.json"));
    Files.writeString(folder.resolve("config.json"), config.replace("\"llama\"", "\"mamba\""));

    Run run = Run.gatun("inspect", folder.toString());

    assertThat(run.exitCode()).isEqualTo(2);
    assertThat(run.out()).contains("model.embed_tokens.weight");
    assertThat(run.err()).contains("config.json", "mamba").hasLineCount(1);
  }

  @Test
  void aCutOffHeaderIsOneSentenceThatNamesTheFile() throws IOException {
    byte[] whole = Files.readAllBytes(MODEL.resolve("model.safetensors"));
    Path cut = folder.resolve("cut.safetensors");
    Files.write(cut, Arrays.copyOf(whole, 100));

    Run run = Run.gatun("inspect", cut.toString());

    assertThat(run.exitCode()).isEqualTo(2);
    assertThat(run.err()).contains("cut.safetensors").hasLineCount(1);
  }

  @Test
  void aFolderOfSomethingElseIsRefused() {
    Run run = Run.gatun("inspect", folder.toString());

    assertThat(run.exitCode()).isEqualTo(2);
    assertThat(run.err()).hasLineCount(1);
  }
}
