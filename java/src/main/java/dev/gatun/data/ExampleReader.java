package dev.gatun.data;

import dev.gatun.InputException;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/// Takes the columns that training needs out of rows and checks them. Every row must be of the
/// first row's kind.
public final class ExampleReader {
  private final ExampleKind kind;
  private final SftDataOptions options;
  private final MessagesReader messages;

  /// @param first the dataset's first row
  /// @throws InputException if the data cannot be trained with these options
  public ExampleReader(Row first, SftDataOptions options) {
    this.options = options;
    this.kind = ExampleKind.of(first, options);
    this.messages = new MessagesReader(options.chat().roleMapping(), options.assistantOnly());
    if (options.assistantOnlyLoss() && !kind.isConversational()) {
      throw new InputException(
          "assistant_only_loss is set, but "
              + first.where()
              + " is not conversational; use completion_only_loss with prompt and completion.");
    }
    boolean whole = kind == ExampleKind.TEXT || kind == ExampleKind.CONVERSATION;
    if (whole && Boolean.TRUE.equals(options.completionOnlyLoss())) {
      throw new InputException(
          "completion_only_loss is set, but "
              + first.where()
              + " has no prompt and completion columns.");
    }
    TrainOn trainOn = options.chat().trainOn();
    if (trainOn != null) {
      requireColumns(first, trainOn);
    }
  }

  private void requireColumns(Row first, TrainOn trainOn) {
    boolean turns = trainOn == TrainOn.ASSISTANT || trainOn == TrainOn.LAST_ASSISTANT;
    boolean whole = kind == ExampleKind.TEXT || kind == ExampleKind.CONVERSATION;
    if ((turns && !kind.isConversational()) || (trainOn == TrainOn.COMPLETION && whole)) {
      throw new InputException(
          "train_on: %s is set, but %s has no %s."
              .formatted(
                  trainOn.name().toLowerCase(Locale.ROOT),
                  first.where(),
                  turns ? "messages" : "prompt and completion columns"));
    }
  }

  /// What the rows are.
  public ExampleKind kind() {
    return kind;
  }

  /// The example of a row.
  ///
  /// @throws InputException if a column is missing or of the wrong type, naming row and column
  public SftExample read(Row row) {
    return switch (kind) {
      case TEXT -> new SftExample.Text(text(row, options.datasetTextField()));
      case PROMPT_COMPLETION ->
          new SftExample.PromptCompletion(text(row, "prompt"), text(row, "completion"));
      case TOKENISED -> tokenised(row);
      case CONVERSATION -> messages.messages(row);
      case CONVERSATION_PAIR -> messages.pair(row);
    };
  }

  private static String text(Row row, String column) {
    if (row.value(column) instanceof String text) {
      return text;
    }
    throw wrong(row, column, "a string");
  }

  private static SftExample tokenised(Row row) {
    int[] ids = integers(row, "input_ids", 0);
    int[] labels = optional(row, "labels", PackedBatch.IGNORE_INDEX, ids.length);
    int[] mask = optional(row, "completion_mask", 0, ids.length);
    return new SftExample.Tokenised(ids, labels, mask);
  }

  private static int @Nullable [] optional(Row row, String column, int least, int length) {
    if (row.value(column) == null) {
      return null;
    }
    int[] values = integers(row, column, least);
    if (values.length != length) {
      throw new InputException(
          "%s: `%s` has %d entries, but input_ids has %d."
              .formatted(row.where(), column, values.length, length));
    }
    return values;
  }

  /// @param least 0, or what besides token ids is allowed
  private static int[] integers(Row row, String column, int least) {
    if (!(row.value(column) instanceof List<?> list)) {
      throw wrong(row, column, "a list of integers");
    }
    int[] values = new int[list.size()];
    for (int i = 0; i < values.length; i++) {
      boolean fits =
          list.get(i) instanceof Long value
              && value <= Integer.MAX_VALUE
              && (value >= 0 || value == least);
      if (!fits) {
        throw new InputException(
            "%s: `%s` has at position %d %s, which is no token id%s."
                .formatted(
                    row.where(), column, i, list.get(i), least < 0 ? " and not " + least : ""));
      }
      values[i] = ((Long) list.get(i)).intValue();
    }
    return values;
  }

  private static InputException wrong(Row row, String column, String wanted) {
    if (!row.has(column)) {
      return new InputException(
          "%s has no column `%s`; every row needs it.".formatted(row.where(), column));
    }
    return new InputException(
        "%s: column `%s` must be %s, not %s."
            .formatted(row.where(), column, wanted, Row.kind(row.value(column))));
  }
}
