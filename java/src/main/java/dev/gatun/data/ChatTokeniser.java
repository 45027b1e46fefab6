package dev.gatun.data;

import dev.gatun.InputException;
import dev.gatun.text.Encoded;
import dev.gatun.text.Tokenizer;
import dev.gatun.text.chat.ChatTemplate;
import dev.gatun.text.chat.Conversation;
import dev.gatun.text.chat.EndOfTurn;
import dev.gatun.text.chat.TrainingText;
import dev.gatun.text.chat.jinja.Rendered;
import dev.gatun.text.chat.jinja.Rendered.Span;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// Conversations to token ids and labels, by TRL's rules: the template's text is tokenised without
/// further special tokens; a prompt's tokens are counted by rendering and tokenising it alone; an
/// assistant turn's tokens are those that hold a character of it.
final class ChatTokeniser {
  private final Tokenizer tokenizer;
  private final ChatTemplate template;
  private final boolean assistantOnly;
  private final boolean lastOnly;
  private final boolean completionOnly;

  ChatTokeniser(Tokenizer tokenizer, ChatTemplate template, SftDataOptions options) {
    this.tokenizer = tokenizer;
    this.template = template;
    TrainOn trainOn = options.chat().trainOn();
    this.lastOnly = trainOn == TrainOn.LAST_ASSISTANT;
    this.assistantOnly = options.assistantOnly();
    Boolean chosen = options.completionOnlyLoss();
    boolean all = trainOn == TrainOn.ALL || Boolean.FALSE.equals(chosen);
    this.completionOnly = !all;
  }

  ExampleTokeniser.Tokens chat(SftExample.Chat example) {
    return tokens(example.conversation(), example.untrained(), null);
  }

  /// @throws InputException if the prompt is rendered differently once the completion follows
  ExampleTokeniser.Tokens pair(SftExample.ChatPair example) {
    Conversation conversation = example.conversation();
    String prompt = template.render(conversation.first(example.promptMessages()), true).text();
    return tokens(conversation, example.untrained(), completionOnly ? prompt : null);
  }

  OptionalInt endOfTurn(Conversation conversation) {
    return EndOfTurn.token(template, conversation, tokenizer);
  }

  private ExampleTokeniser.Tokens tokens(
      Conversation conversation, Set<Integer> untrained, @Nullable String prompt) {
    int last = lastAssistant(conversation);
    boolean masked = assistantOnly || !untrained.isEmpty();
    TrainingText text =
        masked
            ? TrainingText.of(
                template,
                conversation,
                i ->
                    assistantOnly
                        ? (!lastOnly || i == last) && !untrained.contains(i)
                        : untrained.contains(i))
            : new TrainingText(template.render(conversation, false), false);
    Rendered rendered = text.rendered();
    int[] ids;
    int[] labels;
    if (masked) {
      Encoded encoded = tokenizer.encodeWithOffsets(rendered.text(), false);
      ids = encoded.ids();
      labels = labels(encoded, rendered.spans(), assistantOnly);
    } else {
      ids = tokenizer.encode(rendered.text(), false);
      labels = ids;
    }
    if (prompt == null) {
      return new ExampleTokeniser.Tokens(ids, labels, false, text.derived());
    }
    if (!rendered.text().startsWith(prompt)) {
      throw new InputException(
          "the chat template %s renders the prompt differently once the completion follows, so what is trained is uncertain; use another template (chat_template_path), or completion_only_loss: false"
              .formatted(template.name(conversation)));
    }
    return withoutPrompt(ids, labels, tokenizer.encode(prompt, false), text.derived());
  }

  private static ExampleTokeniser.Tokens withoutPrompt(
      int[] ids, int[] labels, int[] prompt, boolean derived) {
    boolean unstable = prompt.length > 0 && Arrays.mismatch(prompt, ids) < prompt.length;
    int[] masked = labels.clone();
    Arrays.fill(masked, 0, Math.min(prompt.length, ids.length), PackedBatch.IGNORE_INDEX);
    return new ExampleTokeniser.Tokens(
        ids, masked, unstable && Arrays.mismatch(prompt, ids) >= 0, derived);
  }

  private static int lastAssistant(Conversation conversation) {
    for (int i = conversation.messages().size() - 1; i >= 0; i--) {
      if (conversation.isAssistant(i)) {
        return i;
      }
    }
    return -1;
  }

  /// @param inside whether tokens of the spans are trained, or all others
  private static int[] labels(Encoded encoded, List<Span> spans, boolean inside) {
    int[] labels = encoded.ids().clone();
    boolean[] covered = new boolean[labels.length];
    for (Span span : spans) {
      for (int t = 0; t < covered.length; t++) {
        int start = encoded.starts()[t];
        int end = encoded.ends()[t];
        covered[t] |= start < span.end() && end > span.start() && end > start;
      }
    }
    for (int t = 0; t < labels.length; t++) {
      labels[t] = covered[t] == inside ? labels[t] : PackedBatch.IGNORE_INDEX;
    }
    return labels;
  }
}
