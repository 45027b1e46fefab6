package dev.gatun.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// What is wrong with the input of a training run is one sentence that says where, exit code 2, and
/// leaves nothing behind.
class BadInputTest {
  @TempDir Path folder;

  /// A fault and what the sentence about it must name.
  record Fault(String name, Damage damage, List<String> settings, List<String> named) {
    @Override
    public String toString() {
      return name;
    }

    Fault with(String... values) {
      return new Fault(name, damage, List.of(values), named);
    }
  }

  /// Brings the fault into a workspace that is fine otherwise.
  @FunctionalInterface
  interface Damage {
    void to(Workspace workspace) throws IOException;
  }

  @ParameterizedTest
  @MethodSource({"checkpoints", "data", "configurations", "outputs"})
  void isOneSentenceThatSaysWhere(Fault fault) throws IOException {
    Workspace workspace = Workspace.create(folder);
    fault.damage().to(workspace);
    List<String> before = listing(folder);

    Run run =
        workspace.train(
            fault.settings().stream()
                .map(setting -> setting.replace("@OUT@", workspace.output().toString()))
                .toArray(String[]::new));

    assertThat(run.err()).startsWith("gatun: ").hasLineCount(1).contains(fault.named());
    assertThat(run.err()).doesNotContain("Source:", "Exception", "this is a bug");
    assertThat(run.exitCode()).isEqualTo(2);
    assertThat(listing(folder)).isEqualTo(before);
  }

  static Stream<Fault> checkpoints() {
    return Stream.of(
        fault("no such checkpoint", w -> {}, "absent does not exist", "never fetched")
            .with("model_name_or_path=absent"),
        fault("header cut off", w -> truncate(weights(w), 200), "model.safetensors"),
        fault("tensors cut off", w -> truncate(weights(w), 100_000), "model.safetensors"),
        fault("header is no JSON", w -> overwrite(weights(w), 8, "nonsense"), "model.safetensors"),
        fault("a shard is missing", BadInputTest::shard, "model-00002-of-00002.safetensors"),
        fault(
            "unsupported architecture",
            w -> edit(w.model().resolve("config.json"), "\"llama\"", "\"mamba\""),
            "config.json",
            "mamba"),
        fault(
            "unsupported rope type",
            w -> edit(w.model().resolve("config.json"), "\"default\"", "\"spiral\""),
            "config.json",
            "spiral"),
        fault(
            "configuration of another model",
            w ->
                edit(
                    w.model().resolve("config.json"),
                    "\"num_hidden_layers\": 6",
                    "\"num_hidden_layers\": 7"),
            "model.layers.6"),
        fault(
            "tokenizer of another model",
            w ->
                edit(
                    w.model().resolve("config.json"),
                    "\"vocab_size\": 1150",
                    "\"vocab_size\": 1100"),
            "1149",
            "1100"),
        fault(
            "no tokenizer",
            w -> Files.delete(w.model().resolve("tokenizer.json")),
            "tokenizer.json"),
        fault(
            "tokenizer cut off",
            w -> truncate(w.model().resolve("tokenizer.json"), 9_000),
            "tokenizer.json is not valid JSON (line "),
        fault("no such module", w -> {}, "x_proj").with("lora_target_modules=[x_proj]"));
  }

  static Stream<Fault> data() {
    return Stream.of(
        fault("no such file", w -> Files.delete(w.data()), "train.jsonl", "never fetched"),
        fault("malformed line", w -> w.setThirdRow("{\"prompt\": \"a"), "train.jsonl", "line 3"),
        fault(
            "unfinished object", w -> w.setThirdRow("{\"prompt\": 1,"), "line 3 is not valid JSON"),
        fault(
            "missing column",
            w -> w.setThirdRow("{\"prompt\": \"a\"}"),
            "train.jsonl",
            "line 3",
            "completion"),
        fault(
            "wrong type",
            w -> w.setThirdRow("{\"prompt\": 7, \"completion\": \"b\"}"),
            "train.jsonl",
            "line 3",
            "prompt"),
        fault(
            "not UTF-8",
            w ->
                Files.write(
                    w.data(), "{\"text\": \"caf\u00e9\"}\n".getBytes(StandardCharsets.ISO_8859_1)),
            "train.jsonl",
            "UTF-8"),
        fault("empty file", w -> Files.writeString(w.data(), ""), "train.jsonl"),
        fault(
            "nothing trained",
            w ->
                Files.writeString(
                    w.data(), "{\"input_ids\": [1, 2, 3], \"labels\": [-100, -100, -100]}\n"),
            "train.jsonl"),
        fault(
            "token id of another model",
            w ->
                Files.writeString(
                    w.data(), "{\"input_ids\": [1, 0]}\n{\"input_ids\": [1, 1150, 0]}\n"),
            "train.jsonl line 2",
            "1150"),
        fault(
            "label of another model",
            w ->
                Files.writeString(
                    w.data(), "{\"input_ids\": [1, 5, 0], \"labels\": [-100, 1150, 0]}\n"),
            "train.jsonl line 1",
            "1150"),
        fault(
            "label that is none",
            w ->
                Files.writeString(
                    w.data(), "{\"input_ids\": [1, 5, 0], \"labels\": [-100, -3, 0]}\n"),
            "train.jsonl line 1",
            "-3"),
        fault("over-long rows", w -> {}, "max_length", "line").with("max_length=20"));
  }

  static Stream<Fault> configurations() {
    return Stream.of(
        fault("no configuration", w -> Files.delete(w.config()), "config.yaml"),
        fault(
            "unknown key",
            w -> append(w.config(), "learning_rat: 1\n"),
            "config.yaml",
            "12",
            "learning_rat",
            "learning_rate"),
        fault("wrong type", w -> append(w.config(), "seed: many\n"), "config.yaml", "seed"),
        fault("malformed YAML", w -> append(w.config(), "a: [1\n"), "config.yaml"),
        fault("malformed override", w -> {}, "nonsense").with("nonsense"));
  }

  static Stream<Fault> outputs() {
    return Stream.of(
        fault(
            "output folder in use",
            w -> {
              Files.createDirectory(w.output());
              Files.writeString(w.output().resolve("precious.txt"), "mine");
            },
            "out",
            "not empty"),
        fault("output is a file", w -> Files.writeString(w.output(), "mine"), "out"),
        fault("output below a file", w -> Files.writeString(w.output(), "mine"), "out")
            .with("output_dir=@OUT@/below"));
  }

  private static Fault fault(String name, Damage damage, String... named) {
    return new Fault(name, damage, List.of(), List.of(named));
  }

  private static Path weights(Workspace workspace) {
    return workspace.model().resolve("model.safetensors");
  }

  private static void truncate(Path file, int bytes) throws IOException {
    Files.write(file, Arrays.copyOf(Files.readAllBytes(file), bytes));
  }

  private static void overwrite(Path file, int offset, String text) throws IOException {
    byte[] content = Files.readAllBytes(file);
    byte[] replacement = text.getBytes(StandardCharsets.US_ASCII);
    System.arraycopy(replacement, 0, content, offset, replacement.length);
    Files.write(file, content);
  }

  private static void edit(Path file, String from, String to) throws IOException {
    String text = Files.readString(file);
    assertThat(text).contains(from);
    Files.writeString(file, text.replace(from, to));
  }

  private static void append(Path file, String text) throws IOException {
    Files.writeString(file, Files.readString(file) + text);
  }

  private static void shard(Workspace workspace) throws IOException {
    Files.move(weights(workspace), workspace.model().resolve("model-00001-of-00002.safetensors"));
    Files.writeString(
        workspace.model().resolve("model.safetensors.index.json"),
        """
        {"metadata": {}, "weight_map": {
          "model.embed_tokens.weight": "model-00001-of-00002.safetensors",
          "model.norm.weight": "model-00002-of-00002.safetensors"}}
        """);
  }

  private static List<String> listing(Path folder) throws IOException {
    List<String> files = new ArrayList<>();
    try (Stream<Path> walk = Files.walk(folder)) {
      for (Path file : walk.sorted().toList()) {
        files.add(file + (Files.isRegularFile(file) ? " " + Files.size(file) : ""));
      }
    }
    return files;
  }
}
