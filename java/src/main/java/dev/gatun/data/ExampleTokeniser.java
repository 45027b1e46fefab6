package dev.gatun.data;

import dev.gatun.InputException;
import dev.gatun.text.Tokenizer;
import dev.gatun.text.chat.ChatTemplateFiles;
import java.util.Arrays;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;

/// Examples to token ids and labels, by TRL's rules: the end-of-sequence token is appended as text
/// to a column named `text` and to completions that do not already end with it; plain text is
/// tokenised with the tokenizer's own special tokens; a prompt's tokens are counted by tokenising
/// it alone.
///
/// One difference: where rows have `prompt` and `completion` and a column `text` besides, TRL
/// appends the token to the unused `text`; here completions always get it.
final class ExampleTokeniser {
  private final Tokenizer tokenizer;
  private final String eos;
  private final boolean appendEosToText;
  private final boolean completionOnly;
  private final @Nullable ResponseParts parts;
  private final @Nullable ChatTokeniser chat;

  /// A tokenised example.
  ///
  /// @param ids token ids
  /// @param labels labels; the same array where every token is trained
  /// @param unstablePrompt whether the prompt's tokens are not those that the whole begins with
  /// @param derivedTurns whether the assistant's turns were derived by rendering
  /// @param noInstruction whether a response part was found and no instruction part
  record Tokens(
      int[] ids,
      int[] labels,
      boolean unstablePrompt,
      boolean derivedTurns,
      boolean noInstruction) {
    /// A conversation.
    Tokens(int[] ids, int[] labels, boolean unstablePrompt, boolean derivedTurns) {
      this(ids, labels, unstablePrompt, derivedTurns, false);
    }

    /// Text without turns.
    Tokens(int[] ids, int[] labels, boolean unstablePrompt) {
      this(ids, labels, unstablePrompt, false);
    }
  }

  ExampleTokeniser(Tokenizer tokenizer, SftDataOptions options, ExampleKind kind) {
    this.tokenizer = tokenizer;
    this.eos = tokenizer.eosToken().orElse("");
    this.appendEosToText = options.datasetTextField().equals("text");
    Boolean chosen = options.completionOnlyLoss();
    TrainOn trainOn = options.chat().trainOn();
    boolean pair = kind == ExampleKind.PROMPT_COMPLETION;
    this.completionOnly =
        trainOn != null ? trainOn == TrainOn.COMPLETION : chosen != null ? chosen : pair;
    this.parts = ResponseParts.of(tokenizer, options.chat());
    this.chat =
        kind.isConversational()
            ? new ChatTokeniser(
                tokenizer,
                ChatTemplateFiles.open(tokenizer, options.chat().templatePath()),
                options)
            : null;
  }

  Tokens tokenise(SftExample example, Row row) {
    try {
      Tokens tokens =
          switch (example) {
            case SftExample.Text text -> text(text);
            case SftExample.PromptCompletion pair -> pair(pair);
            case SftExample.Tokenised given -> tokenised(given, row);
            case SftExample.Chat conversation -> chat().chat(conversation);
            case SftExample.ChatPair pair -> chat().pair(pair);
          };
      return parts == null ? tokens : parts.apply(tokens);
    } catch (InputException e) {
      throw e.getMessage().startsWith(row.where())
          ? e
          : new InputException(row.where() + ": " + e.getMessage(), e);
    }
  }

  /// The token with which the chat template ends an assistant's turn; empty for text without turns.
  OptionalInt endOfTurn(SftExample example) {
    return switch (example) {
      case SftExample.Chat conversation -> chat().endOfTurn(conversation.conversation());
      case SftExample.ChatPair pair -> chat().endOfTurn(pair.conversation());
      case SftExample.Text _, SftExample.PromptCompletion _, SftExample.Tokenised _ ->
          OptionalInt.empty();
    };
  }

  private ChatTokeniser chat() {
    if (chat == null) {
      throw new IllegalStateException("Conversations among rows of another kind.");
    }
    return chat;
  }

  private Tokens text(SftExample.Text example) {
    String text = appendEosToText ? withEos(example.text()) : example.text();
    int[] ids = tokenizer.encode(text, true);
    return new Tokens(ids, ids, false);
  }

  private Tokens pair(SftExample.PromptCompletion example) {
    int[] prompt = tokenizer.encode(example.prompt(), true);
    int[] ids = tokenizer.encode(example.prompt() + withEos(example.completion()), true);
    boolean unstable = Arrays.mismatch(prompt, ids) < prompt.length && prompt.length > 0;
    int[] labels = ids;
    if (completionOnly) {
      labels = ids.clone();
      Arrays.fill(labels, 0, Math.min(prompt.length, ids.length), PackedBatch.IGNORE_INDEX);
    }
    return new Tokens(ids, labels, unstable);
  }

  private Tokens tokenised(SftExample.Tokenised example, Row row) {
    int[] ids = example.inputIds();
    if (example.labels() != null) {
      return new Tokens(ids, example.labels(), false);
    }
    int[] mask = example.completionMask();
    if (!completionOnly) {
      return new Tokens(ids, ids, false);
    }
    if (mask == null) {
      throw new InputException(
          "%s: completion_only_loss needs a column completion_mask or labels beside input_ids."
              .formatted(row.where()));
    }
    int[] labels = ids.clone();
    for (int i = 0; i < labels.length; i++) {
      labels[i] = mask[i] == 0 ? PackedBatch.IGNORE_INDEX : labels[i];
    }
    return new Tokens(ids, labels, false);
  }

  private String withEos(String text) {
    return text.endsWith(eos) ? text : text + eos;
  }
}
