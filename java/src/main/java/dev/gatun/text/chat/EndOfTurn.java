package dev.gatun.text.chat;

import dev.gatun.InputException;
import dev.gatun.text.Tokenizer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;

/// The token with which a chat template ends an assistant's turn: a model that was trained on its
/// text writes it where it has said everything, whether or not it is the tokenizer's
/// end-of-sequence token.
public final class EndOfTurn {
  private EndOfTurn() {}

  /// The first token behind the content of an assistant's message, whitespace left out, found by
  /// rendering the conversation with such a message at its end.
  ///
  /// @return empty if the template refuses such a message or drops it, or if no added token of the
  ///   tokenizer follows: ordinary text occurs inside of turns too
  public static OptionalInt token(
      ChatTemplate template, Conversation conversation, Tokenizer tokenizer) {
    String text;
    try {
      text = template.render(withAnswer(conversation), false).text();
    } catch (InputException e) {
      return OptionalInt.empty(); // Whether the prompt itself can be rendered is said elsewhere.
    }
    int mark = text.lastIndexOf(AssistantSpans.MARK);
    if (mark < 0) {
      return OptionalInt.empty();
    }
    String behind = text.substring(mark + AssistantSpans.MARK.length()).strip();
    int[] ids = tokenizer.encode(behind, false);
    return ids.length > 0 && tokenizer.isAdded(ids[0])
        ? OptionalInt.of(ids[0])
        : OptionalInt.empty();
  }

  private static Conversation withAnswer(Conversation conversation) {
    List<Map<String, @Nullable Object>> messages = new ArrayList<>(conversation.messages());
    if (!messages.isEmpty() && conversation.isAssistant(messages.size() - 1)) {
      messages.removeLast();
    }
    Map<String, @Nullable Object> answer = new LinkedHashMap<>();
    answer.put("role", "assistant");
    answer.put("content", AssistantSpans.MARK);
    messages.add(answer);
    return conversation.withMessages(messages);
  }
}
