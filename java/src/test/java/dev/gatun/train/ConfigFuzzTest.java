package dev.gatun.train;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.InputException;
import dev.gatun.Mutations;
import dev.gatun.model.LoraConfig.Modules;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Configurations that nobody would write: damaged bytes, lines moved, values exchanged for wild
/// ones. Each is read, or refused in an [InputException], in a bounded time; what is read can be
/// written and read again. Seeded; a failure names seed, round and text.
class ConfigFuzzTest {
  private static final long SEED = 23;

  /// Most processor time that reading one configuration may take.
  private static final Duration LONGEST = Duration.ofSeconds(5);

  private static final List<String> WILD =
      List.of(
          "",
          "~",
          "null",
          "-0",
          "-1",
          "1e999",
          ".nan",
          ".inf",
          "0x1F",
          "0b1",
          "1_000",
          "1:30:00",
          "9223372036854775808",
          "9".repeat(5000),
          "1e-999999999",
          "2026-01-01",
          "yes",
          "!!binary aGk=",
          "!!java.net.URL [http://localhost]",
          "!!set {a, b}",
          "!!float x",
          "!<tag> 1",
          "&a [*a]",
          "*missing",
          "<<: *a",
          "? [a, b] : c",
          "- - - a",
          "{a: {b: {c: {d: 1}}}}",
          "[".repeat(2000),
          "{a: ".repeat(2000),
          "(".repeat(30_000),
          "'" + "(".repeat(30_000) + ")".repeat(30_000) + "'",
          "x".repeat(300_000),
          "---",
          "...",
          "%YAML 9.9",
          "\t",
          "|\n  text\n",
          ">-\n",
          "\"\\x00\"",
          "\"\\ud800\"",
          "'",
          "\u0000",
          "\ufeff",
          "\u2028",
          "# comment",
          "11GB",
          "1e30TiB",
          "-5GiB",
          "cuda:99999999999");

  private static final Mutations MUTATIONS = new Mutations(WILD, Integer.MAX_VALUE);

  @TempDir private Path directory;

  @Test
  @Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
  void fewRounds() throws IOException {
    rounds(SEED, 500);
  }

  @Test
  @Tag("slow")
  @Timeout(value = 20, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
  void manyRounds() throws IOException {
    rounds(System.nanoTime(), 60_000);
  }

  private void rounds(long seed, int count) throws IOException {
    Random random = new Random(seed);
    List<String> texts = texts();
    int read = 0;
    int refused = 0;
    for (int round = 0; round < count; round++) {
      String text = texts.get(random.nextInt(texts.size()));
      byte[] bytes =
          random.nextInt(3) == 0
              ? MUTATIONS.mutate(text.getBytes(StandardCharsets.UTF_8), random)
              : changedLines(text, random).getBytes(StandardCharsets.UTF_8);
      if (read(bytes, "seed %d, round %d".formatted(seed, round))) {
        read++;
      } else {
        refused++;
      }
    }
    assertThat(read).as("configurations that were read").isGreaterThan(50);
    assertThat(refused).as("configurations that were refused").isGreaterThan(50);
  }

  /// A short one, every key as YAML, and the short one as JSON.
  private static List<String> texts() {
    String small =
        """
        model_name_or_path: model
        dataset_path: [a.jsonl, b.jsonl]
        lora:
          r: 8
          target_modules: [q_proj, v_proj]
          init_lora_weights: gaussian
        learning_rate: 2.0e-4
        lr_scheduler_type: cosine_with_min_lr
        lr_scheduler_kwargs: {min_lr: 1.0e-6}
        output_dir: out
        max_steps: 10
        memory_limit: 11GB
        device: cuda:0
        role_mapping: {human: user}
        allow_findings: [all_truncated]
        """;
    String all =
        SftConfigWriter.toYaml(
            SftConfig.builder()
                .modelNameOrPath(Path.of("model"))
                .datasetPath(Path.of("data.jsonl"))
                .outputDir(Path.of("out"))
                .loraTargetModules(new Modules.AllLinear())
                .build());
    String json =
        """
        {"model_name_or_path": "model", "dataset_path": "a.jsonl",
         "peft_config": {"r": 4, "lora_alpha": 8, "target_modules": ".*proj"},
         "output_dir": "out", "max_seq_length": 128, "packing": true, "seed": 1,
         "optim": "adamw_8bit"}
        """;
    return List.of(small, all, json);
  }

  /// Lines repeated, left out, exchanged, indented, and values replaced.
  private static String changedLines(String text, Random random) {
    List<String> lines = new ArrayList<>(text.lines().toList());
    int changes = 1 + random.nextInt(3);
    for (int i = 0; i < changes; i++) {
      int at = random.nextInt(lines.size());
      String line = lines.get(at);
      String wild = WILD.get(random.nextInt(WILD.size()));
      switch (random.nextInt(6)) {
        case 0 -> lines.add(at, line);
        case 1 -> lines.add(lines.remove(at));
        case 2 -> Collections.swap(lines, at, random.nextInt(lines.size()));
        case 3 -> lines.set(at, " ".repeat(random.nextInt(4)) + line);
        case 4 -> lines.set(at, line.replaceFirst(":.*", ": ") + wild);
        default -> lines.add(at, wild);
      }
    }
    return String.join("\n", lines) + "\n";
  }

  /// Whether it was read, not refused.
  private boolean read(byte[] bytes, String where) throws IOException {
    Path file = Files.write(directory.resolve("config.yaml"), bytes);
    long start = cpuTime();
    try {
      SftConfig config = SftConfigReader.read(file, List.of()).config();
      SftConfig again =
          SftConfigReader.parse("written", SftConfigWriter.toYaml(config), List.of()).config();
      assertThat(again).as(where).isEqualTo(config);
      return true;
    } catch (InputException e) {
      assertThat(e).as(where).hasMessageNotContaining("written");
      return false;
    } catch (RuntimeException | StackOverflowError | OutOfMemoryError e) {
      throw new AssertionError(where + ":\n" + shown(bytes), e);
    } finally {
      assertThat(Duration.ofNanos(cpuTime() - start))
          .as(where + ":\n" + shown(bytes))
          .isLessThan(LONGEST);
    }
  }

  private static String shown(byte[] bytes) {
    String text = new String(bytes, StandardCharsets.UTF_8);
    return text.substring(0, Math.min(3000, text.length()));
  }

  /// Nanoseconds of this thread, which other work on the machine does not lengthen.
  private static long cpuTime() {
    return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
  }
}
