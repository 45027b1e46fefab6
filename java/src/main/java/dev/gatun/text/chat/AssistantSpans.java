package dev.gatun.text.chat;

import dev.gatun.InputException;
import dev.gatun.text.chat.jinja.Rendered.Span;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntPredicate;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/// Which part of a rendered conversation an assistant turn is, for templates that do not mark it:
/// what comes after the prompt that the model would be given for this turn, to the end of the turn
/// with its end-of-turn token.
///
/// A turn begins where the messages before it, rendered with the generation prompt, end; the whole
/// text must begin with that prompt. It ends where the messages up to and with it end. Where a
/// template renders a last turn differently from an earlier one (Qwen 3 adds an empty thinking
/// block), the turn ends where its content does plus what the template puts behind a last turn's
/// content; a mark behind the content says where that is.
final class AssistantSpans {
  /// A private-use character, which templates treat as any other text.
  static final String MARK = "\uf8f5";

  /// Keys under which data holds what the assistant thought.
  private static final List<String> REASONING =
      List.of("reasoning_content", "reasoning", "thinking");

  private static final Pattern BLANKS = Pattern.compile("\\s+");

  private final ChatTemplate template;
  private final Conversation conversation;
  private final String whole;

  private AssistantSpans(ChatTemplate template, Conversation conversation, String whole) {
    this.template = template;
    this.conversation = conversation;
    this.whole = whole;
  }

  /// One span for each assistant message that is wanted, in order.
  ///
  /// @param whole the conversation's text
  /// @param wanted numbers of messages, from 0
  /// @throws InputException if a turn's place is uncertain, or the template drops part of it
  static List<Span> derive(
      ChatTemplate template, Conversation conversation, String whole, IntPredicate wanted) {
    AssistantSpans derivation = new AssistantSpans(template, conversation, whole);
    List<Span> spans = new ArrayList<>();
    for (int i = 0; i < conversation.messages().size(); i++) {
      if (conversation.isAssistant(i) && wanted.test(i)) {
        spans.add(derivation.span(i));
      }
    }
    return spans;
  }

  private Span span(int message) {
    int start = start(message);
    int end = end(message, start);
    requireContent(message, start, end);
    int from = whole.codePointCount(0, start);
    return new Span(from, from + whole.codePointCount(start, end));
  }

  private InputException unsafe(int message, String why) {
    return new InputException(
        "the chat template %s cannot be masked safely at message %d: it %s; use a template with {%% generation %%} blocks (chat_template_path), or train_on: %sall"
            .formatted(
                template.name(conversation),
                message + 1,
                why,
                isLast(message) ? "" : "last_assistant or "));
  }

  private boolean isLast(int message) {
    return IntStream.range(message + 1, conversation.messages().size())
        .noneMatch(conversation::isAssistant);
  }

  private int start(int message) {
    String prompt;
    try {
      prompt = template.render(conversation.first(message), true).text();
    } catch (InputException e) {
      throw unsafe(message, "refuses the messages before it (" + e.getMessage() + ")");
    }
    if (!whole.startsWith(prompt)) {
      throw unsafe(message, "renders the messages before this one differently once it follows");
    }
    return prompt.length();
  }

  private int end(int message, int start) {
    if (message == conversation.messages().size() - 1) {
      return whole.length();
    }
    String prefix;
    try {
      prefix = template.render(conversation.first(message + 1), false).text();
    } catch (InputException e) {
      throw unsafe(message, "refuses the messages up to this one (" + e.getMessage() + ")");
    }
    boolean stable = prefix.length() >= start && whole.startsWith(prefix);
    return stable ? prefix.length() : endByMark(message, start);
  }

  private int endByMark(int message, int start) {
    String inWhole = marked(conversation, message);
    String asLast = marked(conversation.first(message + 1), message);
    int mark = inWhole.indexOf(MARK);
    int lastMark = asLast.indexOf(MARK);
    if (mark < 0 || lastMark < 0) {
      throw unsafe(message, "renders it differently when more messages follow");
    }
    String behind = inWhole.substring(mark + MARK.length());
    String endOfTurn = asLast.substring(lastMark + MARK.length());
    boolean same = whole.equals(inWhole.substring(0, mark) + behind);
    if (!same || mark < start || !behind.startsWith(endOfTurn)) {
      throw unsafe(message, "renders it differently when more messages follow");
    }
    return mark + endOfTurn.length();
  }

  /// The text with a mark behind a message's content.
  private String marked(Conversation part, int message) {
    List<Map<String, @Nullable Object>> messages = new ArrayList<>(part.messages());
    Map<String, @Nullable Object> changed = new LinkedHashMap<>(messages.get(message));
    changed.put("content", content(message) + MARK);
    messages.set(message, changed);
    return template.render(part.withMessages(messages), false).text();
  }

  /// Training on a turn that the template shortens would teach something else than the data. Where
  /// whitespace stands is the template's to decide.
  private void requireContent(int message, int start, int end) {
    String turn = withoutBlanks(whole.substring(start, end));
    String content = withoutBlanks(content(message));
    for (String key : REASONING) {
      boolean dropped =
          conversation.messages().get(message).get(key) instanceof String reasoning
              && !turn.contains(withoutBlanks(reasoning));
      if (dropped) {
        throw unsafe(message, "leaves out the `" + key + "` of this turn");
      }
    }
    if (!turn.contains(content)) {
      throw unsafe(
          message,
          content.contains("</think>")
              ? "leaves out the reasoning of this turn, which the model would have written"
              : "leaves out or changes part of the content");
    }
  }

  private static String withoutBlanks(String text) {
    return BLANKS.matcher(text).replaceAll("");
  }

  private String content(int message) {
    return conversation.messages().get(message).get("content") instanceof String text ? text : "";
  }
}
