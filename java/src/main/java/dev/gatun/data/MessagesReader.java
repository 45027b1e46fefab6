package dev.gatun.data;

import dev.gatun.InputException;
import dev.gatun.text.chat.Conversation;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.databind.json.JsonMapper;

/// Takes conversations out of rows: columns `messages` or `conversations`, or `prompt` and
/// `completion` that are lists of messages; besides them `tools`, `documents` and
/// `chat_template_kwargs`. A message has `role` and `content`, or as in ShareGPT `from` and
/// `value`.
final class MessagesReader {
  private final Map<String, String> roles;
  private final boolean assistantOnly;

  /// @param assistantOnly whether no message but the assistant's is trained in any case
  MessagesReader(Map<String, String> roles, boolean assistantOnly) {
    this.roles = roles;
    this.assistantOnly = assistantOnly;
  }

  SftExample messages(Row row) {
    Set<Integer> untrained = new HashSet<>();
    String column = row.has("messages") ? "messages" : "conversations";
    List<Map<String, @Nullable Object>> messages = list(row, column, untrained, 0);
    return new SftExample.Chat(conversation(row, messages), untrained);
  }

  SftExample pair(Row row) {
    Set<Integer> untrained = new HashSet<>();
    List<Map<String, @Nullable Object>> messages =
        new ArrayList<>(list(row, "prompt", untrained, 0));
    int prompt = messages.size();
    messages.addAll(list(row, "completion", untrained, prompt));
    return new SftExample.ChatPair(conversation(row, messages), prompt, untrained);
  }

  private Conversation conversation(Row row, List<Map<String, @Nullable Object>> messages) {
    Object variables = row.value("chat_template_kwargs");
    if (variables != null && !(variables instanceof Map<?, ?>)) {
      throw wrong(row, "chat_template_kwargs", "an object", variables);
    }
    return new Conversation(
        messages,
        tools(row),
        row.value("documents") instanceof List<?> documents ? withoutNulls(documents) : null,
        variables instanceof Map<?, ?> map ? entries(map) : Map.of());
  }

  private List<Map<String, @Nullable Object>> list(
      Row row, String column, Set<Integer> untrained, int offset) {
    if (!row.has(column)) {
      throw new InputException(
          "%s has no column `%s`; every row needs it.".formatted(row.where(), column));
    }
    if (!(row.value(column) instanceof List<?> list)) {
      throw wrong(row, column, "a list of messages", row.value(column));
    }
    if (list.isEmpty()) {
      throw new InputException("%s: `%s` has no messages.".formatted(row.where(), column));
    }
    List<Map<String, @Nullable Object>> messages = new ArrayList<>();
    for (Object item : list) {
      String place = "%s: `%s` message %d".formatted(row.where(), column, messages.size() + 1);
      messages.add(message(place, item, untrained, offset + messages.size()));
    }
    return messages;
  }

  private Map<String, @Nullable Object> message(
      String place, @Nullable Object item, Set<Integer> untrained, int number) {
    if (!(item instanceof Map<?, ?> given)) {
      throw new InputException(
          "%s must be an object with role and content, not %s.".formatted(place, Row.kind(item)));
    }
    Map<String, @Nullable Object> message = renamed(entries(given));
    if (!(message.get("role") instanceof String role)) {
      throw new InputException(place + " has no `role` (or `from`).");
    }
    message.put("role", roles.getOrDefault(role, role));
    Object content = message.get("content");
    boolean called = message.get("tool_calls") instanceof List<?> calls && !calls.isEmpty();
    if (content == null && !called) {
      throw new InputException(place + " has no `content` (or `value`).");
    }
    if (content != null && !(content instanceof String) && !(content instanceof List<?>)) {
      throw new InputException(
          "%s: `content` must be a string or a list of parts, not %s."
              .formatted(place, Row.kind(content)));
    }
    Object train = message.remove("train");
    if (train != null && !(train instanceof Boolean)) {
      throw new InputException(
          "%s: `train` must be true or false, not %s.".formatted(place, Row.kind(train)));
    }
    if (train instanceof Boolean choice && !(assistantOnly && isLeftOut(message, choice))) {
      requireAssistant(place, message);
      if (!choice) {
        untrained.add(number);
      }
    }
    return message;
  }

  private static boolean isLeftOut(Map<String, @Nullable Object> message, boolean train) {
    return !train && !"assistant".equals(message.get("role"));
  }

  private static void requireAssistant(String place, Map<String, @Nullable Object> message) {
    if (!"assistant".equals(message.get("role"))) {
      throw new InputException(
          "%s: `train` is for messages of the assistant, and this one's role is %s; remove it, or with train: false set train_on: assistant."
              .formatted(place, message.get("role")));
    }
  }

  private static Map<String, @Nullable Object> renamed(Map<String, @Nullable Object> message) {
    if (message.containsKey("role")) {
      return message;
    }
    Map<String, @Nullable Object> renamed = new LinkedHashMap<>();
    message.forEach((key, value) -> {
      String name = key.equals("from") ? "role" : key.equals("value") ? "content" : key;
      renamed.put(name, value);
    });
    return renamed;
  }

  private static @Nullable List<?> tools(Row row) {
    Object value = row.value("tools");
    Object tools = value instanceof String text ? parsed(row, text) : value;
    if (tools != null && !(tools instanceof List<?>)) {
      throw wrong(row, "tools", "a list, or a JSON text of one", tools);
    }
    return tools instanceof List<?> list && !list.isEmpty() ? withoutNulls(list) : null;
  }

  private static @Nullable Object parsed(Row row, String text) {
    if (text.isBlank()) {
      return null;
    }
    try (JsonParser parser = JsonMapper.shared().createParser(text)) {
      parser.nextToken();
      Object value = JsonRows.value(parser);
      if (parser.nextToken() != null) {
        throw new InputException(row.where() + ": `tools` has text behind its JSON.");
      }
      return value;
    } catch (JacksonException e) {
      throw new InputException(
          "%s: `tools` is not valid JSON: %s".formatted(row.where(), JsonRows.reason(e)), e);
    }
  }

  /// Keys with null are left out: columnar files put one into every message that lacks the key, and
  /// templates ask whether a key is there. A null `content` stays: it is how tool calls are
  /// written.
  private static Map<String, @Nullable Object> entries(Map<?, ?> map) {
    Map<String, @Nullable Object> entries = new LinkedHashMap<>();
    map.forEach((key, value) -> {
      if (value != null || key.equals("content")) {
        entries.put(String.valueOf(key), plain(value));
      }
    });
    return entries;
  }

  private static @Nullable Object plain(@Nullable Object value) {
    return switch (value) {
      case Map<?, ?> map -> entries(map);
      case List<?> list -> withoutNulls(list);
      case null, default -> value;
    };
  }

  private static List<@Nullable Object> withoutNulls(List<?> list) {
    List<@Nullable Object> plain = new ArrayList<>();
    list.forEach(item -> plain.add(plain(item)));
    return plain;
  }

  private static InputException wrong(
      Row row, String column, String wanted, @Nullable Object found) {
    return new InputException(
        "%s: column `%s` must be %s, not %s."
            .formatted(row.where(), column, wanted, Row.kind(found)));
  }
}
