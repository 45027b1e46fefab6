package dev.gatun.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gatun.cli.Gatun;
import dev.gatun.io.JsonObject;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// The benchmarks themselves, on the CPU at small sizes.
class BenchTest {
  /// Hidden 64, 2 layers, vocabulary 512.
  private static final String CONFIG =
      """
      {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "torch_dtype": "bfloat16",
       "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 2,
       "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 512,
       "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 512,
       "tie_word_embeddings": false, "hidden_act": "silu"}
      """;

  @TempDir Path folder;

  private record Run(int status, String out, String err) {}

  private static Run bench(String... arguments) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    int status = Bench.execute(new PrintWriter(out), new PrintWriter(err), arguments);
    return new Run(status, out.toString(), err.toString());
  }

  @Test
  void everyKernelIsTimedAndReported() {
    Path json = folder.resolve("kernels.json");

    Run run = bench("--device", "cpu", "--shapes", "tiny", "--samples", "1", "--json", json + "");

    assertThat(run.status()).as(run.err()).isZero();
    for (String op :
        new String[] {
          "nf4_linear_forward",
          "nf4_linear_backward",
          "nf4_lora_forward",
          "nf4_lora_backward",
          "nf4_lora_group_forward",
          "lora_product_inner_gradient",
          "lora_product_backward_b",
          "lora_product_gradient_a",
          "linear_cross_entropy_gradient",
          "linear_cross_entropy_trained",
          "nf4_ratio_forward",
          "nf4_ratio_backward",
          "attention_forward",
          "attention_backward",
          "rms_norm_backward",
          "swiglu_forward",
          "rope",
          "embedding_gather",
          "nf4_quantize",
          "nf4_dequantize",
          "adamw",
          "adamw_8bit",
          "lion_8bit",
          "gradient_norm"
        }) {
      assertThat(run.out()).containsPattern("(?m)^" + op + " .*\\d% +(-|[\\d.]+)$");
    }
    JsonObject report = JsonObject.read(json);
    assertThat(report.number("copy_bytes_per_second")).isPositive();
    assertThat(report.isArray("results")).isTrue();
  }

  @Test
  void aFilterChoosesCases() {
    Run run = bench("--device", "cpu", "--samples", "1", "--filter", "attention_forward 4x");

    assertThat(run.out().lines().filter(line -> line.contains("attention_forward"))).hasSize(1);
    assertThat(run.out()).doesNotContain("swiglu");
  }

  @Test
  void batchesAreAsLargeAsAskedFor() {
    String[] command = {"--device", "cpu", "--samples", "1", "--filter", "attention_forward 4x"};

    assertThat(bench(with(command, "--tokens", "64")).out()).contains("attention_forward", "4x16 ");
    Run wrong = bench(with(command, "--tokens", "17"));
    assertThat(wrong.status()).isEqualTo(2);
    assertThat(wrong.err()).contains("--tokens is 17; take a multiple of 16").hasLineCount(1);
  }

  @Test
  void trainingStepsOfARandomModelRun() throws IOException {
    Path config = folder.resolve("config.json");
    Files.writeString(config, CONFIG);
    Path json = folder.resolve("train.json");

    Run run =
        bench(
            "train",
            "--model",
            config.toString(),
            "--documents",
            "20",
            "--device",
            "cpu",
            "--sequences",
            "2",
            "--length",
            "16",
            "--rank",
            "4",
            "--steps",
            "2",
            "--warmup",
            "1",
            "--json",
            json.toString());

    assertThat(run.status()).as(run.err()).isZero();
    JsonObject report = JsonObject.read(json);
    assertThat(report.number("tokens_per_second")).isPositive();
    // Random weights know nothing: the loss is that of guessing.
    assertThat(report.number("loss")).isCloseTo(Math.log(512), within(0.2));
    assertThat(report.number("activation_bytes")).isPositive();
  }

  @Test
  void checkpointsFollowFromTheMemoryGiven() throws IOException {
    Path config = folder.resolve("config.json");
    Files.writeString(config, CONFIG);
    String[] command = {
      "train",
      "--model",
      config.toString(),
      "--device",
      "cpu",
      "--sequences",
      "2",
      "--length",
      "16",
      "--rank",
      "4",
      "--steps",
      "1",
      "--warmup",
      "0",
      "--checkpointing"
    };

    Run free = bench(with(command, "auto"));
    Run tight = bench(with(command, "auto", "--memory", "1KB"));
    Run fixed = bench(with(command, "none", "--memory", "1GB"));
    Run wrong = bench(with(command, "auto", "--memory", "much"));

    assertThat(free.status()).as(free.err()).isZero();
    assertThat(free.out()).containsPattern("checkpointing auto: \\d+ layers? everything");
    assertThat(tight.status()).isEqualTo(2);
    assertThat(tight.err()).contains("--memory allows 0.00 GB").hasLineCount(1);
    assertThat(fixed.err()).contains("--memory is for --checkpointing auto").hasLineCount(1);
    assertThat(wrong.err()).contains("such as 11GB or 9.5GiB, not much").hasLineCount(1);
  }

  private static String[] with(String[] command, String... more) {
    return Stream.concat(Arrays.stream(command), Arrays.stream(more)).toArray(String[]::new);
  }

  @Test
  void tokenisationIsTimedAndReported() throws IOException {
    Path model = folder.resolve("model");
    Path config = Files.writeString(folder.resolve("config.json"), CONFIG);
    PrintWriter ignored = new PrintWriter(new StringWriter());
    int made =
        new Gatun()
            .execute(
                ignored,
                ignored,
                "init-model",
                "--config",
                config.toString(),
                "--output",
                model.toString());
    Path rows =
        Files.writeString(
            folder.resolve("rows.jsonl"),
            "{\"prompt\": \"ab\", \"completion\": \"cde\"}\n".repeat(3));
    Path json = folder.resolve("tokenize.json");

    Run run =
        bench(
            "tokenize",
            rows.toString(),
            "--tokenizer",
            model.toString(),
            "--samples",
            "1",
            "--json",
            json.toString());

    assertThat(made).isZero();
    assertThat(run.status()).as(run.err()).isZero();
    assertThat(run.out()).contains("3 texts", "encode_one_thread", "file_to_rows");
    assertThat(JsonObject.read(json).integer("bytes", 0, 100)).isEqualTo(15);
  }

  @Test
  void jmhTakesItsOwnOptions() {
    assertThat(bench("jmh", "-h").err()).isEmpty();
  }

  @Test
  void wrongInputIsOneSentence() {
    Run device = bench("--device", "tpu");
    assertThat(device.status()).isEqualTo(2);
    assertThat(device.err()).contains("tpu").hasLineCount(1);

    Run filter = bench("--filter", "(");
    assertThat(filter.status()).isEqualTo(2);
    assertThat(filter.err()).contains("--filter").hasLineCount(1);
  }
}
