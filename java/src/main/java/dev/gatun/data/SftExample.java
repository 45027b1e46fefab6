package dev.gatun.data;

import dev.gatun.text.chat.Conversation;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// One row, its columns checked and not yet tokenised.
public sealed interface SftExample {
  /// Plain text, of which every token is trained.
  record Text(String text) implements SftExample {}

  /// A prompt and what the model should answer, joined without a separator.
  record PromptCompletion(String prompt, String completion) implements SftExample {}

  /// A conversation.
  ///
  /// @param untrained numbers of assistant messages that say `train: false`, from 0
  record Chat(Conversation conversation, Set<Integer> untrained) implements SftExample {
    public Chat {
      untrained = Set.copyOf(untrained);
    }
  }

  /// A conversation whose beginning is the prompt of its end.
  ///
  /// @param promptMessages how many messages the prompt has
  /// @param untrained numbers of assistant messages that say `train: false`, from 0
  record ChatPair(Conversation conversation, int promptMessages, Set<Integer> untrained)
      implements SftExample {
    public ChatPair {
      untrained = Set.copyOf(untrained);
    }
  }

  /// Token ids, with what the row says about what is trained.
  ///
  /// @param inputIds token ids
  /// @param labels labels of the same length, or null
  /// @param completionMask 0 and 1 of the same length, or null
  record Tokenised(int[] inputIds, int @Nullable [] labels, int @Nullable [] completionMask)
      implements SftExample {}
}
