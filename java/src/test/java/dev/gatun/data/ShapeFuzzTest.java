package dev.gatun.data;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.InputException;
import dev.gatun.text.Tokenizer;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Datasets of every shape under every option: columns missing, of other types, empty, huge, mixed.
/// Each is prepared, or refused in an [InputException]; what is prepared keeps the rules of
/// [PreparedDataset]. Seeded; a failure names seed, round, options and rows.
class ShapeFuzzTest {
  private static final long SEED = 31;
  private static final Duration LONGEST = Duration.ofSeconds(10);
  private static final List<String> WORDS =
      List.of("a", "b", "c d", "", " ", "</s>", "<s>", "é 😀", "e".repeat(300), "\\u0000", "\\n");
  private static final List<String> WILD =
      List.of(
          "null",
          "true",
          "-7",
          "1.5",
          "1e400",
          "NaN",
          "9223372036854775808",
          "\"x\"",
          "\"\\ud83d\"",
          "\"//\"",
          "\"[1, {\"",
          "\"[{}] 1\"",
          "\" \"",
          "[]",
          "{}",
          "[[]]",
          "[null]",
          "[{\"role\":\"user\"}]",
          "{\"role\":\"assistant\",\"content\":\"a\"}",
          "[".repeat(200) + "]".repeat(200));
  private static final String TEMPLATE =
      """
      {%- for m in messages %}{{ {'user': 'b ', 'assistant': 'c '}.get(m.role, '? ') }}{{ m.content }} </s> {% endfor %}
      {%- if add_generation_prompt %}{{ 'c ' }}{% endif %}{% if tools %}{{ tools | tojson }}{% endif %}\
      """;

  @TempDir private Path directory;
  private Tokenizer tokenizer;

  @BeforeEach
  void open() throws IOException {
    tokenizer = Tokenizer.open(Fixtures.tokenizer(directory));
    Files.writeString(directory.resolve("chat_template.jinja"), TEMPLATE);
  }

  @AfterEach
  void close() {
    tokenizer.close();
  }

  @Test
  @Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
  void fewRounds() throws IOException {
    rounds(SEED, 800);
  }

  @Test
  @Tag("slow")
  @Timeout(value = 20, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
  void manyRounds() throws IOException {
    rounds(System.nanoTime(), 60_000);
  }

  private void rounds(long seed, int count) throws IOException {
    Random random = new Random(seed);
    int prepared = 0;
    int refused = 0;
    for (int round = 0; round < count; round++) {
      String lines = rows(random);
      Path file = Files.writeString(directory.resolve("rows.jsonl"), lines);
      String where = "seed %d, round %d:%n%.2000s".formatted(seed, round, lines);
      long start = cpuTime();
      try {
        check(file, options(random), where);
        prepared++;
      } catch (InputException _) {
        refused++;
      } catch (RuntimeException | StackOverflowError | OutOfMemoryError e) {
        throw new AssertionError(where, e);
      }
      assertThat(Duration.ofNanos(cpuTime() - start)).as(where).isLessThan(LONGEST);
    }
    assertThat(prepared).as("datasets that were prepared").isGreaterThan(50);
    assertThat(refused).as("datasets that were refused").isGreaterThan(50);
  }

  private void check(Path file, SftDataOptions options, String where) {
    try (PreparedDataset rows = SftPreparation.prepare(Dataset.open(file), tokenizer, options)) {
      long tokens = 0;
      long targets = 0;
      for (int row = 0; row < rows.size(); row++) {
        assertThat(rows.labels(row)).as(where).hasSize(rows.length(row));
        assertThat(IntStream.of(rows.sequenceLengths(row)).sum())
            .as(where)
            .isEqualTo(rows.length(row));
        tokens += rows.length(row);
        targets += rows.targetCount(row);
        Integer most = options.maxLength();
        assertThat(most == null || rows.length(row) <= most).as(where).isTrue();
      }
      PreparationReport report = rows.report();
      assertThat(report.tokens()).as(where).isEqualTo(tokens);
      assertThat(report.trainedTokens()).as(where).isEqualTo(targets);
      assertThat(report.figures().lengths().bins().stream().mapToLong(b -> b.samples()).sum())
          .as(where)
          .isEqualTo(report.sourceRows());
      List<DataFinding> findings = new DataChecks(tokenizer, Set.of(), Set.of()).of(rows, rows);
      assertThat(findings).as(where).anyMatch(f -> f.kind() == DataFinding.Kind.TRAIN_EVAL_LEAK);
    }
  }

  private static SftDataOptions options(Random random) {
    SftDataOptions options = SftDataOptions.defaults();
    OverlongPolicy[] policies = OverlongPolicy.values();
    int length = random.nextInt(4) == 0 ? 1 + random.nextInt(6) : 40;
    options = options.withMaxLength(length, policies[random.nextInt(policies.length)]);
    PackingStrategy[] strategies = PackingStrategy.values();
    options =
        random.nextInt(3) == 0
            ? options.withPacking(strategies[random.nextInt(strategies.length)])
            : options;
    options = random.nextInt(4) == 0 ? options.withShuffle(random.nextInt(100)) : options;
    TrainOn[] parts = TrainOn.values();
    return switch (random.nextInt(6)) {
      case 0 -> options.withCompletionOnlyLoss(random.nextBoolean());
      case 1 -> options.withAssistantOnlyLoss(true);
      case 2 ->
          options.withChat(ChatOptions.defaults().withTrainOn(parts[random.nextInt(parts.length)]));
      case 3 -> options.withChat(ChatOptions.defaults().withParts("b", "c"));
      default -> options;
    };
  }

  /// Rows of one shape, some with something wrong.
  private static String rows(Random random) {
    int shape = random.nextInt(6);
    boolean wrong = random.nextBoolean();
    int count = 1 + random.nextInt(6);
    List<String> lines = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      Map<String, String> columns = columns(shape, random);
      if (wrong && random.nextInt(3) == 0) {
        spoil(columns, random);
      }
      lines.add(
          columns.entrySet().stream()
              .map(column -> "\"" + column.getKey() + "\": " + column.getValue())
              .collect(Collectors.joining(", ", "{", "}")));
    }
    return String.join("\n", lines) + "\n";
  }

  private static Map<String, String> columns(int shape, Random random) {
    Map<String, String> columns = new LinkedHashMap<>();
    switch (shape) {
      case 0 -> columns.put("text", text(random));
      case 1 -> {
        columns.put("prompt", text(random));
        columns.put("completion", text(random));
      }
      case 2 -> columns.put("messages", messages(random, "role", "content", "user", "assistant"));
      case 3 -> columns.put("conversations", messages(random, "from", "value", "human", "gpt"));
      case 4 -> {
        columns.put("prompt", messages(random, "role", "content", "user", null));
        columns.put("completion", messages(random, "role", "content", "assistant", null));
      }
      default -> {
        int length = random.nextInt(9);
        columns.put("input_ids", numbers(length, random, 0));
        if (random.nextBoolean()) {
          columns.put("labels", numbers(length, random, -100));
        } else if (random.nextBoolean()) {
          columns.put("completion_mask", numbers(length, random, 0));
        }
      }
    }
    return columns;
  }

  private static void spoil(Map<String, String> columns, Random random) {
    List<String> names =
        List.of(
            "text",
            "prompt",
            "completion",
            "messages",
            "conversations",
            "input_ids",
            "labels",
            "completion_mask",
            "tools",
            "documents",
            "chat_template_kwargs");
    List<String> own = List.copyOf(columns.keySet());
    switch (random.nextInt(4)) {
      case 0 -> columns.remove(own.get(random.nextInt(own.size())));
      case 1 -> columns.put(names.get(random.nextInt(names.size())), wild(random));
      case 2 -> columns.replace(own.get(random.nextInt(own.size())), wild(random));
      default ->
          columns.compute(
              own.get(random.nextInt(own.size())),
              (key, value) ->
                  value == null
                      ? wild(random)
                      : value.replaceFirst(
                          "(\"[^\"]*\"|\\d+)", wild(random).replace("\\", "\\\\")));
    }
  }

  private static String wild(Random random) {
    return WILD.get(random.nextInt(WILD.size()));
  }

  private static String text(Random random) {
    StringBuilder text = new StringBuilder("\"");
    for (int i = random.nextInt(5); i >= 0; i--) {
      text.append(WORDS.get(random.nextInt(WORDS.size()))).append(random.nextInt(3) > 0 ? " " : "");
    }
    return text.append('"').toString();
  }

  private static String messages(
      Random random, String role, String content, String first, @Nullable String second) {
    List<String> messages = new ArrayList<>();
    for (int i = 0; i < (second == null ? 1 : 1 + random.nextInt(4)); i++) {
      String name = i % 2 == 0 || second == null ? first : second;
      String flag =
          (name.equals("assistant") || name.equals("gpt")) && random.nextInt(5) == 0
              ? ", \"train\": false"
              : "";
      messages.add(
          "{\"%s\": \"%s\", \"%s\": %s%s}".formatted(role, name, content, text(random), flag));
    }
    return messages.toString();
  }

  private static String numbers(int length, Random random, int least) {
    return random.ints(length, 0, 9).map(n -> n == 8 ? least : n).boxed().toList().toString();
  }

  /// Nanoseconds of this thread, which other work on the machine does not lengthen.
  private static long cpuTime() {
    return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
  }
}
