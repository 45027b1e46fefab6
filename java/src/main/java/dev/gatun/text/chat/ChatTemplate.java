package dev.gatun.text.chat;

import dev.gatun.InputException;
import dev.gatun.text.chat.jinja.Limits;
import dev.gatun.text.chat.jinja.Rendered;
import dev.gatun.text.chat.jinja.Template;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/// A checkpoint's chat template with its special tokens: it makes text of conversations exactly as
/// transformers' `apply_chat_template` does.
///
/// Threads: any number may render at once.
public final class ChatTemplate {
  private static final String DEFAULT = "default";
  private static final String WITH_TOOLS = "tool_use";

  /// Stands for the end of the message that is to be continued; as transformers has it.
  private static final String CONTINUE_TAG = "CONTINUE_FINAL_MESSAGE_TAG ";

  private final Map<String, Template> templates;
  private final Map<String, Object> specialTokens;
  private final Supplier<LocalDateTime> clock;

  /// @param templates by name; a tokenizer without named templates has `default`
  /// @param specialTokens `bos_token` and its like, which templates see as variables
  /// @param clock what `strftime_now` sees
  ChatTemplate(
      Map<String, Template> templates,
      Map<String, ?> specialTokens,
      Supplier<LocalDateTime> clock) {
    this.templates = Map.copyOf(templates);
    this.specialTokens = Map.copyOf(specialTokens);
    this.clock = clock;
  }

  /// One template.
  public static ChatTemplate of(
      Template template, Map<String, ?> specialTokens, Supplier<LocalDateTime> clock) {
    return new ChatTemplate(Map.of(DEFAULT, template), specialTokens, clock);
  }

  /// The text of a conversation.
  ///
  /// @param generationPrompt whether the beginning of the assistant's next turn is added
  /// @throws InputException if the template refuses the conversation or fails on it
  public Rendered render(Conversation conversation, boolean generationPrompt) {
    return render(conversation, conversation.messages(), generationPrompt);
  }

  private Rendered render(
      Conversation conversation,
      List<Map<String, @Nullable Object>> messages,
      boolean generationPrompt) {
    Map<String, @Nullable Object> variables = new LinkedHashMap<>(specialTokens);
    variables.putAll(conversation.variables());
    variables.put("messages", messages);
    variables.put("tools", conversation.tools());
    variables.put("documents", conversation.documents());
    variables.put("add_generation_prompt", generationPrompt);
    return chosen(conversation).render(variables, clock.get(), Limits.defaults());
  }

  /// The text of a conversation without what the template puts after the last message's content, so
  /// that a model goes on with that message.
  ///
  /// @throws InputException if the last message has no text, or the template drops it
  public String renderToContinue(Conversation conversation) {
    if (conversation.messages().isEmpty()
        || !(conversation.messages().getLast().get("content") instanceof String content)) {
      throw new InputException("The last message has no text that could be continued.");
    }
    List<Map<String, @Nullable Object>> messages = new ArrayList<>(conversation.messages());
    Map<String, @Nullable Object> last = new LinkedHashMap<>(messages.removeLast());
    last.put("content", content + CONTINUE_TAG);
    messages.add(last);
    String text = render(conversation, messages, false).text();
    int end = text.lastIndexOf(CONTINUE_TAG.strip());
    if (end < 0 || !text.contains(content.strip())) {
      throw new InputException(
          "%s leaves out part of the last message, which can then not be continued."
              .formatted(chosen(conversation).name()));
    }
    // A template that trims messages has trimmed the blank behind the tag too.
    boolean trims = !text.startsWith(CONTINUE_TAG, end);
    return trims ? text.substring(0, end).stripTrailing() : text.substring(0, end);
  }

  /// Whether the template of a conversation says itself what the assistant's part is.
  public boolean marksGeneration(Conversation conversation) {
    return chosen(conversation).marksGeneration();
  }

  /// What messages call the template of a conversation.
  public String name(Conversation conversation) {
    return chosen(conversation).name();
  }

  private Template chosen(Conversation conversation) {
    Template withTools = conversation.tools() == null ? null : templates.get(WITH_TOOLS);
    Template template = withTools != null ? withTools : templates.get(DEFAULT);
    if (template == null) {
      throw new InputException(
          "The tokenizer has no chat template named `default`, only %s; name a file in chat_template_path."
              .formatted(String.join(", ", templates.keySet())));
    }
    return template;
  }
}
