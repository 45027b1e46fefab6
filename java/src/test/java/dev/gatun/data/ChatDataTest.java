package dev.gatun.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.text.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Conversations to rows. The tokenizer knows `a` to `e` (2 to 6) and takes anything else for 7;
/// the template writes `b` in front of a user's message, `c` in front of the assistant's, `</s>`
/// (1) behind every message.
class ChatDataTest {
  private static final int NO = PackedBatch.IGNORE_INDEX;
  private static final SftDataOptions DEFAULTS = SftDataOptions.defaults();
  private static final String TURNS =
      """
      {%- for m in messages %}{{ {'user': 'b ', 'assistant': 'c '}.get(m.role, '? ') }}{{ m.content }} </s> {% endfor %}
      {%- if add_generation_prompt %}{{ 'c ' }}{% endif %}\
      """;
  private static final String TWO_TURNS =
      "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"d d\"},"
          + "{\"role\":\"user\",\"content\":\"a a\"},{\"role\":\"assistant\",\"content\":\"e\"}]}\n";

  @TempDir Path directory;
  private Tokenizer tokenizer;

  @BeforeEach
  void open() throws IOException {
    tokenizer = Tokenizer.open(Fixtures.tokenizer(directory));
    Files.writeString(directory.resolve("chat_template.jinja"), TURNS);
  }

  @AfterEach
  void close() {
    tokenizer.close();
  }

  private PreparedDataset prepare(String lines, SftDataOptions options) throws IOException {
    Path file = directory.resolve("d.jsonl");
    Files.writeString(file, lines);
    return SftPreparation.prepare(Dataset.open(file), tokenizer, options);
  }

  private static SftDataOptions trainOn(TrainOn trainOn) {
    return DEFAULTS.withChat(ChatOptions.defaults().withTrainOn(trainOn));
  }

  private void assertRefused(String lines, SftDataOptions options, String... reasons) {
    assertThatThrownBy(() -> prepare(lines, options))
        .isInstanceOf(InputException.class)
        .hasMessageContainingAll(reasons);
  }

  @Test
  void messagesAreTrainedWholeAndGetNoFurtherTokens() throws IOException {
    PreparedDataset rows = prepare(TWO_TURNS, DEFAULTS);
    assertThat(rows.inputIds(0)).containsExactly(3, 2, 1, 4, 5, 5, 1, 3, 2, 2, 1, 4, 6, 1);
    assertThat(rows.labels(0)).isEqualTo(rows.inputIds(0));
  }

  @Test
  void assistantTurnsAreTrainedWithTheirEndAndWithoutTheirBeginning() throws IOException {
    int[] expected = {NO, NO, NO, NO, 5, 5, 1, NO, NO, NO, NO, NO, 6, 1};
    assertThat(prepare(TWO_TURNS, DEFAULTS.withAssistantOnlyLoss(true)).labels(0))
        .containsExactly(expected);
    assertThat(prepare(TWO_TURNS, trainOn(TrainOn.ASSISTANT)).labels(0)).containsExactly(expected);
    assertThat(prepare(TWO_TURNS, trainOn(TrainOn.LAST_ASSISTANT)).labels(0))
        .containsExactly(NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, 6, 1);
  }

  @Test
  void blocksOfTheTemplateDecideWhereItHasThem() throws IOException {
    Files.writeString(
        directory.resolve("chat_template.jinja"),
        TURNS.replace(
            "{{ m.content }} </s>", "{% generation %}{{ m.content }}{% endgeneration %} </s>"));
    assertThat(prepare(TWO_TURNS, DEFAULTS.withAssistantOnlyLoss(true)).labels(0))
        .containsExactly(NO, 2, NO, NO, 5, 5, NO, NO, 2, 2, NO, NO, 6, NO);
  }

  @Test
  void aMessageMayBeLeftOut() throws IOException {
    String lines = TWO_TURNS.replace("\"d d\"", "\"d d\",\"train\":false");
    assertThat(prepare(lines, DEFAULTS.withAssistantOnlyLoss(true)).labels(0))
        .containsExactly(NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, 6, 1);
    assertThat(prepare(lines, DEFAULTS).labels(0))
        .containsExactly(3, 2, 1, 4, NO, NO, NO, 3, 2, 2, 1, 4, 6, 1);
    String user = TWO_TURNS.replace("\"a a\"", "\"a a\",\"train\":false");
    assertRefused(user, DEFAULTS, "line 1", "message 3", "`train`", "train_on: assistant");
    assertThat(prepare(user, trainOn(TrainOn.ASSISTANT)).labels(0))
        .isEqualTo(prepare(TWO_TURNS, trainOn(TrainOn.ASSISTANT)).labels(0));
    assertRefused(
        user.replace("false", "true"), trainOn(TrainOn.ASSISTANT), "message 3", "`train`");
  }

  @Test
  void shareGptIsReadWithItsRolesMapped() throws IOException {
    String lines =
        "{\"conversations\":[{\"from\":\"human\",\"value\":\"a\"},{\"from\":\"gpt\",\"value\":\"d\"}]}\n";
    assertThat(prepare(lines, trainOn(TrainOn.ASSISTANT)).labels(0))
        .containsExactly(NO, NO, NO, NO, 5, 1);
    assertThat(prepare(lines, DEFAULTS.withChat(ChatOptions.unmapped())).inputIds(0))
        .containsExactly(7, 2, 1, 7, 5, 1);
    ChatOptions own =
        new ChatOptions(
            null, TrainOn.ASSISTANT, null, null, Map.of("gpt", "user", "human", "assistant"));
    assertThat(
            prepare(
                    lines.replace("[{", "[{\"from\":\"gpt\",\"value\":\"e\"},{"),
                    DEFAULTS.withChat(own))
                .labels(0))
        .containsExactly(NO, NO, NO, NO, 2, 1, NO, NO, NO);
  }

  @Test
  void onlyTheCompletionOfAConversationalPairIsTrained() throws IOException {
    String lines =
        "{\"prompt\":[{\"role\":\"user\",\"content\":\"a\"}],\"completion\":[{\"role\":\"assistant\",\"content\":\"d\"},"
            + "{\"role\":\"user\",\"content\":\"b\"},{\"role\":\"assistant\",\"content\":\"e\"}]}\n";
    assertThat(prepare(lines, DEFAULTS).labels(0))
        .containsExactly(NO, NO, NO, NO, 5, 1, 3, 3, 1, 4, 6, 1);
    assertThat(prepare(lines, trainOn(TrainOn.COMPLETION)).labels(0))
        .containsExactly(NO, NO, NO, NO, 5, 1, 3, 3, 1, 4, 6, 1);
    assertThat(prepare(lines, DEFAULTS.withAssistantOnlyLoss(true)).labels(0))
        .containsExactly(NO, NO, NO, NO, 5, 1, NO, NO, NO, NO, 6, 1);
    assertThat(prepare(lines, trainOn(TrainOn.ALL)).labels(0))
        .containsExactly(3, 2, 1, 4, 5, 1, 3, 3, 1, 4, 6, 1);
  }

  @Test
  void aPromptThatChangesOnceTheCompletionFollowsIsRefused() throws IOException {
    Files.writeString(
        directory.resolve("chat_template.jinja"),
        "{% if messages|length > 1 %}e {% endif %}" + TURNS);
    String lines =
        "{\"prompt\":[{\"role\":\"user\",\"content\":\"a\"}],\"completion\":[{\"role\":\"assistant\",\"content\":\"d\"}]}\n";
    assertRefused(lines, DEFAULTS, "line 1", "chat_template.jinja", "prompt", "differently");
    assertThat(prepare(lines, DEFAULTS.withCompletionOnlyLoss(false)).labels(0))
        .containsExactly(6, 3, 2, 1, 4, 5, 1);
  }

  @Test
  void toolsAreAListOrItsJson() throws IOException {
    Files.writeString(
        directory.resolve("chat_template.jinja"),
        "{% for t in tools or [] %}{{ t.name }} {% endfor %}{{ mood ~ ' ' }}" + TURNS);
    String row =
        "{\"tools\":%s,\"chat_template_kwargs\":{\"mood\":\"e\"},\"messages\":[{\"role\":\"user\",\"content\":\"a\"},"
            + "{\"role\":\"assistant\",\"content\":\"d\"}]}\n";
    for (String tools : new String[] {"[{\"name\":\"d\"}]", "\"[{\\\"name\\\": \\\"d\\\"}]\""}) {
      assertThat(prepare(row.formatted(tools), DEFAULTS).inputIds(0))
          .containsExactly(5, 6, 3, 2, 1, 4, 5, 1);
    }
    assertThat(prepare(row.formatted("null"), DEFAULTS).inputIds(0)).startsWith(6, 3);
    assertRefused(row.formatted("\"[{\""), DEFAULTS, "line 1", "`tools`", "JSON");
    assertRefused(row.formatted("5"), DEFAULTS, "line 1", "`tools`", "a list");
  }

  @Test
  void markersTrainWhatStandsBehindTheResponseMarker() throws IOException {
    SftDataOptions options = DEFAULTS.withChat(ChatOptions.defaults().withParts("b", "c"));
    assertThat(prepare(TWO_TURNS, options).labels(0))
        .containsExactly(NO, NO, NO, NO, 5, 5, 1, NO, NO, NO, NO, NO, 6, 1);
    assertThat(prepare("{\"text\":\"b a c d e b d\"}\n", options).labels(0))
        .containsExactly(NO, NO, NO, NO, 5, 6, NO, NO, NO);
    assertRefused("{\"text\":\"b a d\"}\n", options, "no trained token");
  }

  @Test
  void aTemplateOfAnotherPlaceMayBeNamed() throws IOException {
    Path file = directory.resolve("other.jinja");
    Files.writeString(file, "{% for m in messages %}{{ m.content }} {% endfor %}");
    SftDataOptions options = DEFAULTS.withChat(ChatOptions.defaults().withTemplatePath(file));
    assertThat(prepare(TWO_TURNS, options).inputIds(0)).containsExactly(2, 5, 5, 2, 2, 6);

    Files.delete(directory.resolve("chat_template.jinja"));
    assertRefused(TWO_TURNS, DEFAULTS, "no chat template", "chat_template_path");
    Path missing = directory.resolve("missing.jinja");
    assertRefused(
        TWO_TURNS,
        DEFAULTS.withChat(ChatOptions.defaults().withTemplatePath(missing)),
        "missing.jinja does not exist");
    Files.writeString(
        directory.resolve("tokenizer_config.json"),
        "{\"eos_token\":\"</s>\",\"chat_template\":[{\"name\":\"default\",\"template\":\"{{ messages[0].content }}\"},"
            + "{\"name\":\"tool_use\",\"template\":\"{{ eos_token }}\"}]}");
    try (Tokenizer named = Tokenizer.open(directory)) {
      Path data = directory.resolve("d.jsonl");
      Files.writeString(
          data, TWO_TURNS + TWO_TURNS.replace("{\"messages\"", "{\"tools\":[{}],\"messages\""));
      PreparedDataset rows = SftPreparation.prepare(Dataset.open(data), named, DEFAULTS);
      assertThat(rows.inputIds(0)).containsExactly(2);
      assertThat(rows.inputIds(1)).containsExactly(1);
    }
  }

  @Test
  void badConversationsAreNamed() {
    String good = "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}\n";
    assertRefused(good + "{\"messages\":[]}\n", DEFAULTS, "line 2", "no messages");
    assertRefused(good + "{\"messages\":\"x\"}\n", DEFAULTS, "line 2", "a list of messages");
    assertRefused(good + "{\"messages\":[1]}\n", DEFAULTS, "line 2", "message 1", "an object");
    assertRefused(good + "{\"messages\":[{\"content\":\"a\"}]}\n", DEFAULTS, "line 2", "`role`");
    assertRefused(good + "{\"messages\":[{\"role\":\"user\"}]}\n", DEFAULTS, "line 2", "`content`");
    assertRefused(
        good + "{\"messages\":[{\"role\":\"user\",\"content\":5}]}\n",
        DEFAULTS,
        "line 2",
        "a number");
    assertRefused(
        "{\"prompt\":[{\"role\":\"user\",\"content\":\"a\"}],\"completion\":\"b\"}\n",
        DEFAULTS,
        "line 1",
        "`completion`");
    assertRefused(good, DEFAULTS.withCompletionOnlyLoss(true), "line 1", "completion_only_loss");
    assertRefused(good, trainOn(TrainOn.COMPLETION), "train_on: completion", "line 1");
    assertRefused(
        "{\"text\":\"a\"}\n", trainOn(TrainOn.ASSISTANT), "train_on: assistant", "line 1");
    assertRefused(good, DEFAULTS.withAssistantOnlyLoss(true), "no row to train", "line 1");
  }

  @Test
  void whatATemplateRefusesIsSaidWithTheRow() throws IOException {
    Files.writeString(
        directory.resolve("chat_template.jinja"),
        "{% for m in messages %}\n{% if m.role == 'x' %}{{ raise_exception('no x here') }}{% endif %}\n{{ m.content }}{% endfor %}");
    assertRefused(
        "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}\n{\"messages\":[{\"role\":\"x\",\"content\":\"a\"}]}\n",
        DEFAULTS,
        "d.jsonl line 2",
        "chat_template.jinja line 2",
        "no x here");
  }

  @Test
  void theFirstOfManyBadRowsIsNamed() throws IOException {
    Files.writeString(
        directory.resolve("chat_template.jinja"),
        "{{ messages[0].content if messages[0].content == 'a' else raise_exception('not a') }}");
    String good = "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}\n";
    String bad = good.replace("\"a\"", "\"b\"");
    assertRefused(good.repeat(7) + bad.repeat(500), DEFAULTS, "d.jsonl line 8:");
  }

  @Test
  void whyNothingIsTrainedIsSaid() throws IOException {
    SftDataOptions markers = DEFAULTS.withChat(ChatOptions.defaults().withParts("b", "c c"));
    assertRefused("{\"text\":\"b a d\"}\n", markers, "line 1", "'c c' is not in its text");
    assertRefused(
        "{\"text\":\"b a c c\"}\n",
        markers.withMaxLength(4, OverlongPolicy.TRUNCATE),
        "beyond max_length",
        "line 1");
    assertRefused(
        TWO_TURNS.replace("assistant", "agent"),
        trainOn(TrainOn.ASSISTANT),
        "line 1",
        "the roles are user, agent",
        "role_mapping");
    assertRefused(
        TWO_TURNS.replace("\"assistant\",", "\"assistant\",\"train\":false,"),
        trainOn(TrainOn.ASSISTANT),
        "say train: false");
    Files.writeString(directory.resolve("chat_template.jinja"), "{{ messages[0].nothing }}");
    assertRefused(TWO_TURNS, DEFAULTS, "line 1: it makes no token at all");
  }

  @Test
  void anInstructionMarkerThatNoRowHasIsSaid() throws IOException {
    ChatOptions found = ChatOptions.defaults().withParts("b", "c");
    ChatOptions typo = ChatOptions.defaults().withParts("e e", "c");
    assertThat(prepare(TWO_TURNS, DEFAULTS.withChat(found)).report().notices()).isEmpty();
    assertThat(prepare(TWO_TURNS, DEFAULTS.withChat(typo)).report().notices())
        .singleElement()
        .asString()
        .contains("instruction_part is found in no row");
  }

  @Test
  void derivedTurnsAreSaid() throws IOException {
    assertThat(prepare(TWO_TURNS, trainOn(TrainOn.ASSISTANT)).report().notices())
        .singleElement()
        .asString()
        .startsWith("Rows whose assistant turns were derived by rendering")
        .contains(": 1;");
    assertThat(prepare(TWO_TURNS, trainOn(TrainOn.ALL)).report().notices()).isEmpty();

    Files.writeString(
        directory.resolve("chat_template.jinja"),
        """
        {%- for m in messages %}{% if m.role == 'user' %}b {{ m.content }} </s> {% else %}c {% generation %}{{ m.content }} </s> {% endgeneration %}{% endif %}{% endfor %}\
        """);
    assertThat(prepare(TWO_TURNS, trainOn(TrainOn.ASSISTANT)).report().notices()).isEmpty();
  }
}
