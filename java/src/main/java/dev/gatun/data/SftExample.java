package dev.gatun.data;

import org.jspecify.annotations.Nullable;

/// One row, its columns checked and not yet tokenised.
public sealed interface SftExample {
  /// Plain text, of which every token is trained.
  record Text(String text) implements SftExample {}

  /// A prompt and what the model should answer, joined without a separator.
  record PromptCompletion(String prompt, String completion) implements SftExample {}

  /// Token ids, with what the row says about what is trained.
  ///
  /// @param inputIds token ids
  /// @param labels labels of the same length, or null
  /// @param completionMask 0 and 1 of the same length, or null
  record Tokenised(int[] inputIds, int @Nullable [] labels, int @Nullable [] completionMask)
      implements SftExample {}
}
