package dev.gatun.cli;

import dev.gatun.InputException;
import dev.gatun.data.Dataset;
import dev.gatun.data.ExampleKind;
import dev.gatun.data.ExampleReader;
import dev.gatun.data.Row;
import dev.gatun.data.SftDataOptions;
import dev.gatun.data.SftExample;
import dev.gatun.text.Tokenizer;
import dev.gatun.text.chat.ChatTemplate;
import dev.gatun.text.chat.Conversation;
import dev.gatun.text.chat.EndOfTurn;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/// What a model is asked to continue: texts as they are, or conversations.
///
/// @param texts plain texts; empty if there are conversations
/// @param conversations conversations; empty if there are texts
record Prompts(List<String> texts, List<Conversation> conversations) {

  static Prompts ofTexts(List<String> texts) {
    return new Prompts(texts, List.of());
  }

  /// Texts as the only message of a user each.
  ///
  /// @param system the system message in front, or null
  static Prompts ofUserMessages(List<String> texts, @Nullable String system) {
    List<Conversation> conversations = new ArrayList<>();
    for (String text : texts) {
      List<Map<String, @Nullable Object>> messages = new ArrayList<>();
      if (system != null) {
        messages.add(message("system", system));
      }
      messages.add(message("user", text));
      conversations.add(Conversation.of(messages));
    }
    return new Prompts(List.of(), conversations);
  }

  private static Map<String, @Nullable Object> message(String role, String content) {
    Map<String, @Nullable Object> message = new LinkedHashMap<>();
    message.put("role", role);
    message.put("content", content);
    return message;
  }

  /// The rows of a data file: its column `messages` or `conversations`, else `prompt`, else `text`.
  ///
  /// @throws InputException if a row has none of them, or there are no rows
  static Prompts read(Path file) {
    Dataset dataset = Dataset.open(file);
    List<Row> head = dataset.head(1);
    if (head.isEmpty()) {
      throw new InputException(file + " has no rows.");
    }
    Row first = head.getFirst();
    if (first.has("messages") || first.has("conversations")) {
      return readConversations(dataset, first);
    }
    List<String> texts = new ArrayList<>();
    dataset.forEach(row -> {
      Object value = row.has("prompt") ? row.value("prompt") : row.value("text");
      if (!(value instanceof String text)) {
        throw new InputException(
            row.where() + " has no text in a column prompt or text, and no messages.");
      }
      texts.add(text);
    });
    return ofTexts(texts);
  }

  private static Prompts readConversations(Dataset dataset, Row first) {
    ExampleReader reader = new ExampleReader(first, SftDataOptions.defaults());
    if (reader.kind() != ExampleKind.CONVERSATION) {
      throw new InputException(
          first.where() + " has messages and other training columns; leave one kind.");
    }
    List<Conversation> conversations = new ArrayList<>();
    dataset.forEach(row -> {
      if (reader.read(row) instanceof SftExample.Chat chat) {
        conversations.add(chat.conversation());
      }
    });
    return new Prompts(List.of(), conversations);
  }

  boolean isChat() {
    return !conversations.isEmpty();
  }

  /// The tokens with which the template ends the assistant's turns.
  Set<Integer> endsOfTurns(ChatTemplate template, Tokenizer tokenizer) {
    Set<Integer> ends = new TreeSet<>();
    for (Conversation conversation : conversations) {
      EndOfTurn.token(template, conversation, tokenizer).ifPresent(ends::add);
    }
    return ends;
  }

  /// The texts of conversations with the beginning of the assistant's next turn; a conversation
  /// that ends with the assistant's message is to be continued in it.
  List<String> rendered(ChatTemplate template) {
    return conversations.stream()
        .map(conversation ->
            conversation.isAssistant(conversation.messages().size() - 1)
                ? template.renderToContinue(conversation)
                : template.render(conversation, true).text())
        .toList();
  }
}
