package dev.gatun.text.chat;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.gatun.InputException;
import dev.gatun.text.chat.jinja.Rendered;
import dev.gatun.text.chat.jinja.Rendered.Span;
import dev.gatun.text.chat.jinja.Template;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Parts of assistant turns, derived from what a template renders, against those that transformers
/// found where the template marks them.
class AssistantSpansTest {
  private static final LocalDateTime NOW = LocalDateTime.of(2025, 3, 4, 5, 6, 7);

  @Test
  void derivedPartsAreTheMarkedOnes() throws Exception {
    Path kit =
        Path.of(requireNonNull(getClass().getResource("/conformance/chat_templates")).toURI());
    assertThat(compare(kit, "marked")).isGreaterThanOrEqualTo(8);
    assertThat(compare(kit, "tools")).isGreaterThanOrEqualTo(8);
  }

  @Test
  void derivedPartsAreThoseOfTrainingTemplates() throws Exception {
    String chosen = System.getProperty("gatun.conformance", "");
    Path kit = Path.of(chosen, "chat_templates");
    assumeTrue(
        !chosen.isBlank() && Files.exists(kit.resolve("qwen3_training.json")),
        "needs the large conformance kit");
    assertThat(compare(kit, "qwen3_training")).isGreaterThanOrEqualTo(12);
    assertThat(compare(kit, "llama3_training")).isGreaterThanOrEqualTo(12);
  }

  /// Compares every conversation of a template and returns how many have turns. A derived part may
  /// have whitespace more at its end: what the template puts between turns.
  private static int compare(Path kit, String name) throws IOException {
    JsonNode golden = JsonMapper.shared().readTree(Files.readAllBytes(kit.resolve(name + ".json")));
    JsonNode conversations =
        JsonMapper.shared().readTree(Files.readAllBytes(kit.resolve("conversations.json")));
    String file = golden.path("template").stringValue();
    Map<String, Object> tokens = map(golden.path("variables"));
    ChatTemplate template =
        ChatTemplate.of(
            Template.parse(file, Files.readString(kit.resolve(file))), tokens, () -> NOW);
    int compared = 0;
    for (JsonNode single : golden.path("cases")) {
      if (single.path("generation_spans").isEmpty()
          || single.path("add_generation_prompt").asBoolean()) {
        continue;
      }
      Conversation conversation = conversation(conversations, single);
      if (conversation.isAssistant(0)) {
        continue; // There is no prompt before a conversation's first message.
      }
      String text = single.path("rendered").stringValue();
      if (!allSaid(conversation, text)) {
        assertThatThrownBy(() -> AssistantSpans.derive(template, conversation, text, _ -> true))
            .isInstanceOf(InputException.class)
            .hasMessageContaining("leaves out");
        continue;
      }
      List<Span> derived = AssistantSpans.derive(template, conversation, text, _ -> true);
      List<Span> expected = new ArrayList<>();
      int turn = 0;
      for (JsonNode pair : single.path("generation_spans")) {
        int end = pair.path(1).asInt();
        int more = turn < derived.size() ? derived.get(turn).end() : end;
        boolean blank = more >= end && part(text, end, more).isBlank();
        expected.add(new Span(pair.path(0).asInt(), blank ? more : end));
        turn++;
      }
      assertThat(derived).as(name + " " + single.path("conversation")).isEqualTo(expected);
      compared++;
    }
    return compared;
  }

  /// Whether the text has everything that the assistant says in the data.
  private static boolean allSaid(Conversation conversation, String text) {
    String written = text.replaceAll("\\s+", "");
    for (int i = 0; i < conversation.messages().size(); i++) {
      boolean missing =
          conversation.isAssistant(i)
              && conversation.messages().get(i).get("content") instanceof String content
              && !written.contains(content.replaceAll("\\s+", ""));
      if (missing) {
        return false;
      }
    }
    return true;
  }

  private static String part(String text, int start, int end) {
    return text.substring(text.offsetByCodePoints(0, start), text.offsetByCodePoints(0, end));
  }

  private static Conversation conversation(JsonNode conversations, JsonNode single) {
    for (JsonNode entry : conversations) {
      if (entry.path("name").equals(single.path("conversation"))) {
        List<Map<String, Object>> messages = new ArrayList<>();
        entry.path("messages").forEach(message -> messages.add(map(message)));
        List<Object> tools = entry.has("tools") ? new ArrayList<>() : null;
        entry.path("tools").forEach(tool -> tools.add(value(tool)));
        return new Conversation(messages, tools, null, Map.of());
      }
    }
    throw new IllegalArgumentException("No conversation " + single.path("conversation"));
  }

  private static Map<String, Object> map(JsonNode object) {
    Map<String, Object> map = new LinkedHashMap<>();
    object.properties().forEach(entry -> map.put(entry.getKey(), value(entry.getValue())));
    return map;
  }

  private static Object value(JsonNode node) {
    return switch (node.getNodeType()) {
      case OBJECT -> map(node);
      case ARRAY -> {
        List<Object> list = new ArrayList<>();
        node.forEach(item -> list.add(value(item)));
        yield list;
      }
      case STRING -> node.stringValue();
      case BOOLEAN -> node.booleanValue();
      case NUMBER -> node.isIntegralNumber() ? (Object) node.longValue() : node.doubleValue();
      default -> null;
    };
  }

  private static Map<String, Object> message(String role, String content) {
    return new LinkedHashMap<>(Map.of("role", role, "content", content));
  }

  private static ChatTemplate thinking() throws IOException, URISyntaxException {
    Path kit =
        Path.of(
            requireNonNull(AssistantSpansTest.class.getResource("/conformance/chat_templates"))
                .toURI());
    return ChatTemplate.of(
        Template.parse("thinking", Files.readString(kit.resolve("templates/thinking.jinja"))),
        Map.of("eos_token", "<end>"),
        () -> NOW);
  }

  @Test
  void aTemplateThatChangesEarlierTurnsIsMaskedByMarks() throws Exception {
    Conversation conversation =
        Conversation.of(
            List.of(
                message("user", "Q1"),
                message("assistant", "A1"),
                message("user", "Q2"),
                message("assistant", "A2")));
    Rendered rendered = TrainingText.of(thinking(), conversation, _ -> true).rendered();

    assertThat(rendered.text())
        .isEqualTo(
            "[user]Q1<end>\n[assistant]A1<end>\n[user]Q2<end>\n[assistant]<think>\n\n</think>\n\nA2<end>\n");
    assertThat(rendered.spans().stream().map(s -> part(rendered.text(), s.start(), s.end())))
        .containsExactly("A1<end>\n", "<think>\n\n</think>\n\nA2<end>\n");
  }

  @Test
  void aTemplateThatDropsReasoningIsRefusedUnlessOnlyTheLastTurnIsTrained() throws Exception {
    Conversation conversation =
        Conversation.of(
            List.of(
                message("user", "Q1"),
                message("assistant", "<think>\nt1\n</think>\n\nA1"),
                message("user", "Q2"),
                message("assistant", "<think>\nt2\n</think>\n\nA2")));
    ChatTemplate template = thinking();

    assertThatThrownBy(() -> TrainingText.of(template, conversation, _ -> true))
        .isInstanceOf(InputException.class)
        .hasMessageContainingAll("thinking", "message 2", "reasoning", "last_assistant");
    Rendered last = TrainingText.of(template, conversation, i -> i == 3).rendered();
    assertThat(last.spans().stream().map(s -> part(last.text(), s.start(), s.end())))
        .containsExactly("<think>\nt2\n</think>\n\nA2<end>\n");
  }

  @Test
  void aTemplateWhosePromptChangesAfterwardsIsRefused() {
    ChatTemplate template =
        ChatTemplate.of(
            Template.parse(
                "counting",
                "{{ messages|length }}{% for m in messages %}{{ m.content }};{% endfor %}"),
            Map.of(),
            () -> NOW);
    Conversation conversation =
        Conversation.of(List.of(message("user", "a"), message("assistant", "b")));

    assertThatThrownBy(() -> TrainingText.of(template, conversation, _ -> true))
        .isInstanceOf(InputException.class)
        .hasMessageContainingAll("counting", "message 2", "differently", "train_on: all")
        .hasMessageNotContaining("last_assistant");
  }

  @Test
  void blocksInsideAMacroAreNotBelievedWhereTheyAreCountedWrongly() {
    String turn = "{% generation %}{{ m.content }}{% endgeneration %}";
    ChatTemplate template =
        ChatTemplate.of(
            Template.parse(
                "macros",
                "{% macro say(m) %}<{{ m.role }}>"
                    + turn
                    + ";{% endmacro %}{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}|"
                    + "{% else %}{{ say(m) }}{% endif %}{% endfor %}"
                    + "{% if add_generation_prompt %}<assistant>{% endif %}"),
            Map.of(),
            () -> NOW);
    Conversation conversation =
        Conversation.of(List.of(message("user", "a"), message("assistant", "answer")));

    // As transformers counts, the part would be `<assis`.
    assertThat(template.render(conversation, false).spans()).containsExactly(new Span(2, 8));
    Rendered rendered = TrainingText.of(template, conversation, _ -> true).rendered();
    assertThat(rendered.text()).isEqualTo("a|<assistant>answer;");
    assertThat(
            part(
                rendered.text(),
                rendered.spans().getFirst().start(),
                rendered.spans().getFirst().end()))
        .isEqualTo("answer;");
  }
}
