package dev.gatun.generate;

import dev.gatun.InputException;
import dev.gatun.data.Dataset;
import dev.gatun.data.ExampleReader;
import dev.gatun.data.Row;
import dev.gatun.data.RowReader;
import dev.gatun.data.SftDataOptions;
import dev.gatun.data.SftExample;
import dev.gatun.text.Tokenizer;
import dev.gatun.text.chat.ChatTemplate;
import dev.gatun.text.chat.ChatTemplateFiles;
import dev.gatun.text.chat.Conversation;
import dev.gatun.text.chat.EndOfTurn;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/// Takes questions out of data: a prompt with its completion, or a conversation up to the
/// assistant's last turn, which is the answer. Prompts are tokenised as training does it.
public final class QuestionReader {
  private final Tokenizer tokenizer;
  private final @Nullable ChatTemplate template;
  private final Set<Integer> stops;
  private final String eos;

  /// Questions of one dataset.
  ///
  /// @param list at least one
  /// @param stops the tokens with which the chat template ends the assistant's turns; empty without
  ///   one
  public record Questions(List<Question> list, Set<Integer> stops) {
    public Questions {
      list = List.copyOf(list);
      stops = Set.copyOf(stops);
    }
  }

  private QuestionReader(Tokenizer tokenizer, @Nullable ChatTemplate template, Set<Integer> stops) {
    this.tokenizer = tokenizer;
    this.template = template;
    this.stops = stops;
    this.eos = tokenizer.eosToken().orElse("");
  }

  /// The first questions of a dataset. Conversations that do not end with a text of the assistant
  /// are passed over.
  ///
  /// @param most how many
  /// @param options of the training data
  /// @throws InputException if the rows are of a kind that has no answers, or there is no question
  public static Questions read(
      Dataset dataset, int most, Tokenizer tokenizer, SftDataOptions options) {
    List<Question> questions = new ArrayList<>();
    Set<Integer> stops = new TreeSet<>();
    try (RowReader rows = dataset.reader()) {
      Row first = rows.next();
      if (first == null) {
        throw new InputException(dataset.files() + " has no rows");
      }
      ExampleReader examples = new ExampleReader(first, options);
      ChatTemplate template =
          examples.kind().isConversational()
              ? ChatTemplateFiles.open(tokenizer, options.chat().templatePath())
              : null;
      QuestionReader reader = new QuestionReader(tokenizer, template, stops);
      for (Row row = first; row != null && questions.size() < most; row = rows.next()) {
        Question question = reader.question(row, examples.read(row));
        if (question != null) {
          questions.add(question);
        }
      }
    }
    if (questions.isEmpty()) {
      throw new InputException(
          "%s: no conversation ends with a text of the assistant, so there is no answer to compare with"
              .formatted(dataset.files().getFirst()));
    }
    return new Questions(questions, stops);
  }

  private @Nullable Question question(Row row, SftExample example) {
    return switch (example) {
      case SftExample.PromptCompletion pair ->
          new Question(
              row.where(),
              pair.prompt(),
              tokenizer.encode(pair.prompt(), true),
              withoutEos(pair.completion()));
      case SftExample.Chat chat -> lastTurn(row, chat.conversation());
      case SftExample.ChatPair pair -> lastTurn(row, pair.conversation());
      case SftExample.Text _, SftExample.Tokenised _ ->
          throw new InputException(
              "%s has no answer apart from its prompt; answers need the columns prompt and completion, or messages"
                  .formatted(row.where()));
    };
  }

  private @Nullable Question lastTurn(Row row, Conversation conversation) {
    int last = conversation.messages().size() - 1;
    if (template == null
        || last < 1
        || !conversation.isAssistant(last)
        || conversation.messages().get(last).get("tool_calls") != null
        || !(conversation.messages().get(last).get("content") instanceof String expected)) {
      return null;
    }
    String prompt = template.render(conversation.first(last), true).text();
    EndOfTurn.token(template, conversation, tokenizer).ifPresent(stops::add);
    return new Question(row.where(), prompt, tokenizer.encode(prompt, false), withoutEos(expected));
  }

  private String withoutEos(String text) {
    return !eos.isEmpty() && text.endsWith(eos)
        ? text.substring(0, text.length() - eos.length())
        : text;
  }
}
