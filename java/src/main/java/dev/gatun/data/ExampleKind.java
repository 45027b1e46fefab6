package dev.gatun.data;

import dev.gatun.InputException;
import java.util.List;

/// What a dataset's rows are. As in TRL, the first row decides for all.
public enum ExampleKind {
  /// A column of plain text.
  TEXT,
  /// Columns `prompt` and `completion` of plain text.
  PROMPT_COMPLETION,
  /// A column `input_ids`, and perhaps `labels` or `completion_mask`.
  TOKENISED,
  /// A column `messages` or `conversations`: lists of messages.
  CONVERSATION,
  /// Columns `prompt` and `completion` that are lists of messages.
  CONVERSATION_PAIR;

  /// Whether a chat template makes the text.
  public boolean isConversational() {
    return this == CONVERSATION || this == CONVERSATION_PAIR;
  }

  /// The kind of a row.
  ///
  /// @throws InputException if it has none of the columns
  public static ExampleKind of(Row row, SftDataOptions options) {
    if (row.has("input_ids")) {
      return TOKENISED;
    }
    if (row.value("prompt") instanceof List<?> || row.value("completion") instanceof List<?>) {
      return CONVERSATION_PAIR;
    }
    if (row.has("prompt")) {
      return PROMPT_COMPLETION;
    }
    if (row.has("messages") || row.has("conversations")) {
      return CONVERSATION;
    }
    if (row.has(options.datasetTextField())) {
      return TEXT;
    }
    throw new InputException(
        "%s has no column `%s` (dataset_text_field), nor prompt and completion, nor messages, nor input_ids; its"
                .formatted(row.where(), options.datasetTextField())
            + " columns are %s.".formatted(String.join(", ", row.columns().keySet())));
  }
}
