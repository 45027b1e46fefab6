package dev.gatun.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.rules.Repository;
import dev.gatun.text.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class InitModelCommandTest {
  private static final Path MODEL =
      Repository.root().resolve("java/src/main/resources/dev/gatun/quickstart/model");
  private static final Path CONFIG = MODEL.resolve("config.json");

  @TempDir Path folder;

  private Run init(String... more) {
    String[] arguments = new String[5 + more.length];
    arguments[0] = "init-model";
    arguments[1] = "--config";
    arguments[2] = CONFIG.toString();
    arguments[3] = "--output";
    arguments[4] = folder.resolve("model").toString();
    System.arraycopy(more, 0, arguments, 5, more.length);
    return Run.gatun(arguments);
  }

  @Test
  void aModelOfItsOwnGenerates() {
    Run init = init("--quantize", "nf4", "--seed", "3");
    assertThat(init.err()).isEmpty();
    assertThat(init.out()).contains("2.58 M parameters");

    Run generate =
        Run.gatun(
            "generate",
            folder.resolve("model").toString(),
            "--prompt",
            "Grüße, 世界",
            "--max-new-tokens",
            "4",
            "--device",
            "cpu");

    assertThat(generate.exitCode()).as(generate.err()).isZero();
  }

  @Test
  void theTokenizerForBytesKeepsEveryText() {
    init();

    try (Tokenizer tokenizer = Tokenizer.open(folder.resolve("model"))) {
      String text = "a\tb\n Grüße, 世界 \u0000\u007f\u00ad";
      int[] ids = tokenizer.encode(text, false);
      assertThat(ids).hasSameSizeAs(text.getBytes(java.nio.charset.StandardCharsets.UTF_8));
      assertThat(tokenizer.decode(ids, false)).isEqualTo(text);
      assertThat(tokenizer.eosTokenId()).hasValue(256);
    }
  }

  @Test
  void aTokenizerIsCopied() throws IOException {
    init("--tokenizer", MODEL.toString());

    for (String name : new String[] {"tokenizer.json", "chat_template.jinja"}) {
      assertThat(Files.mismatch(MODEL.resolve(name), folder.resolve("model").resolve(name)))
          .isEqualTo(-1);
    }
  }

  @Test
  void aTokenizerThatDoesNotFitIsRefused() throws IOException {
    Path config = folder.resolve("small.json");
    Files.writeString(config, Files.readString(CONFIG).replace("1150", "300"));

    Run run =
        Run.gatun(
            "init-model",
            "--config",
            config.toString(),
            "--output",
            folder.resolve("model").toString(),
            "--tokenizer",
            MODEL.toString());

    assertThat(run.exitCode()).isEqualTo(2);
    assertThat(run.err()).contains("1149", "300").hasLineCount(1);
  }

  @Test
  void aFolderInUseIsRefused() throws IOException {
    Files.createDirectories(folder.resolve("model"));
    Files.writeString(folder.resolve("model/notes.txt"), "mine");

    Run run = init();

    assertThat(run.exitCode()).isEqualTo(2);
    assertThat(run.err()).contains("not empty").hasLineCount(1);
  }
}
