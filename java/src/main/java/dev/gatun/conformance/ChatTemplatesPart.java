package dev.gatun.conformance;

import dev.gatun.InputException;
import dev.gatun.text.chat.ChatTemplate;
import dev.gatun.text.chat.Conversation;
import dev.gatun.text.chat.jinja.Rendered;
import dev.gatun.text.chat.jinja.Template;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/// `chat_templates/`: conversations rendered by transformers, exactly, with the parts inside `{%
/// generation %}`; and what templates refuse.
public final class ChatTemplatesPart implements Part {
  private static final String CONVERSATIONS = "conversations.json";

  @Override
  public String name() {
    return "chat_templates";
  }

  @Override
  public List<Case> cases(Path kit) {
    Path folder = kit.resolve(name());
    if (!Files.isRegularFile(folder.resolve(CONVERSATIONS))) {
      return List.of();
    }
    return KitFiles.files(folder, ".json").stream()
        .filter(file -> !file.endsWith(CONVERSATIONS))
        .map(file ->
            Part.named(
                file.getFileName().toString().replace(".json", ""),
                (checks, _) -> run(folder, KitFiles.json(file), checks)))
        .toList();
  }

  private static void run(Path folder, JsonNode golden, Checks checks) throws IOException {
    String file = golden.path("template").stringValue();
    Template source = Template.parse(file, Files.readString(folder.resolve(file)));
    LocalDateTime now = LocalDateTime.parse(golden.path("now").stringValue());
    Map<String, @Nullable Object> tokens = KitFiles.map(golden.path("variables"));
    ChatTemplate template = ChatTemplate.of(source, tokens, () -> now);
    checks.equal(
        "generation blocks",
        source.marksGeneration(),
        golden.path("has_generation_blocks").asBoolean());
    Map<String, JsonNode> conversations = new LinkedHashMap<>();
    KitFiles.json(folder.resolve(CONVERSATIONS))
        .forEach(entry -> conversations.put(entry.path("name").stringValue(), entry));
    Tally tally = new Tally();
    for (JsonNode single : golden.path("cases")) {
      String name = single.path("conversation").stringValue();
      JsonNode conversation = conversations.get(name);
      if (conversation == null) {
        throw new InputException(folder + " has no conversation " + name + ".");
      }
      tally.compare(template, conversation(conversation, single), single);
    }
    tally.record(checks);
  }

  private static Conversation conversation(JsonNode entry, JsonNode single) {
    List<Map<String, @Nullable Object>> messages = new ArrayList<>();
    entry.path("messages").forEach(message -> messages.add(KitFiles.map(message)));
    Map<String, @Nullable Object> variables = KitFiles.map(single.path("kwargs"));
    variables.remove("continue_final_message");
    return new Conversation(
        messages,
        entry.has("tools") ? KitFiles.list(entry.path("tools")) : null,
        entry.has("documents") ? KitFiles.list(entry.path("documents")) : null,
        variables);
  }

  /// Counts renderings that are not the golden ones.
  private static final class Tally {
    private int rendered;
    private int refused;
    private final List<String> texts = new ArrayList<>();
    private final List<String> spans = new ArrayList<>();
    private final List<String> errors = new ArrayList<>();

    void compare(ChatTemplate template, Conversation conversation, JsonNode single) {
      String label = single.path("conversation").stringValue() + " " + single.path("kwargs");
      try {
        if (single.path("kwargs").path("continue_final_message").asBoolean(false)) {
          text(label, template.renderToContinue(conversation), single);
          return;
        }
        Rendered actual =
            template.render(conversation, single.path("add_generation_prompt").asBoolean());
        text(label, actual.text(), single);
        if (single.has("generation_spans")) {
          List<Rendered.Span> golden = new ArrayList<>();
          single
              .path("generation_spans")
              .forEach(pair ->
                  golden.add(new Rendered.Span(pair.path(0).asInt(), pair.path(1).asInt())));
          note(spans, golden.equals(actual.spans()), label + " " + actual.spans());
        }
      } catch (InputException e) {
        refused++;
        JsonNode error = single.path("error");
        boolean own = error.path("type").asString("").equals("TemplateError");
        boolean said = !own || e.getMessage().contains(error.path("message").stringValue());
        note(errors, error.isObject() && said, label + ": " + e.getMessage());
      }
    }

    private void text(String label, String actual, JsonNode single) {
      rendered++;
      String golden = single.path("rendered").asString("(refused)");
      note(texts, single.has("rendered") && golden.equals(actual), label + ": " + actual);
    }

    private static void note(List<String> differences, boolean same, String what) {
      if (!same) {
        differences.add(what);
      }
    }

    void record(Checks checks) {
      checks.that(
          "conversations", rendered + refused > 0, rendered + " rendered, " + refused + " refused");
      checks.noDifferences("rendered", texts.size(), String.join("; ", texts));
      checks.noDifferences("generation spans", spans.size(), String.join("; ", spans));
      checks.noDifferences("refusals", errors.size(), String.join("; ", errors));
    }
  }
}
