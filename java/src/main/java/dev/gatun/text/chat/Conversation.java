package dev.gatun.text.chat;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// What a chat template is given. Values inside are text, numbers, booleans, null, lists and maps.
///
/// @param messages in their order, each with `role` and, as a rule, `content`
/// @param tools descriptions of functions, or null for none
/// @param documents texts to answer from, or null for none
/// @param variables further variables of the template, such as `enable_thinking`
public record Conversation(
    List<Map<String, @Nullable Object>> messages,
    @Nullable List<?> tools,
    @Nullable List<?> documents,
    Map<String, @Nullable Object> variables) {

  public Conversation {
    messages = List.copyOf(messages);
    variables = Collections.unmodifiableMap(new LinkedHashMap<>(variables));
  }

  /// Messages alone.
  public static Conversation of(List<Map<String, @Nullable Object>> messages) {
    return new Conversation(messages, null, null, Map.of());
  }

  /// The same surroundings with other messages.
  public Conversation withMessages(List<Map<String, @Nullable Object>> other) {
    return new Conversation(other, tools, documents, variables);
  }

  /// The first `count` messages.
  public Conversation first(int count) {
    return withMessages(messages.subList(0, count));
  }

  /// Whether the message with this number, from 0, is the assistant's.
  public boolean isAssistant(int message) {
    return "assistant".equals(messages.get(message).get("role"));
  }
}
