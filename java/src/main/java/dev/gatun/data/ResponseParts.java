package dev.gatun.data;

import dev.gatun.text.Tokenizer;
import org.jspecify.annotations.Nullable;

/// Trains only what stands between the marker of a response and the next marker of an instruction,
/// or the end; Unsloth's `train_on_responses_only`. Markers are tokenised alone and looked for
/// among the tokens; what was not trained before stays so.
final class ResponseParts {
  private final int[] instruction;
  private final int[] response;

  private ResponseParts(int[] instruction, int[] response) {
    this.instruction = instruction;
    this.response = response;
  }

  /// @return null if the options name no markers
  static @Nullable ResponseParts of(Tokenizer tokenizer, ChatOptions options) {
    String instruction = options.instructionPart();
    String response = options.responsePart();
    return instruction == null || response == null
        ? null
        : new ResponseParts(
            tokenizer.encode(instruction, false), tokenizer.encode(response, false));
  }

  ExampleTokeniser.Tokens apply(ExampleTokeniser.Tokens tokens) {
    int[] ids = tokens.ids();
    int[] labels = tokens.labels().clone();
    boolean inResponse = false;
    boolean responses = false;
    boolean instructions = false;
    int t = 0;
    while (t < ids.length) {
      boolean atInstruction = startsAt(ids, t, instruction);
      instructions |= atInstruction;
      if (!inResponse && startsAt(ids, t, response)) {
        inResponse = true;
        responses = true;
        int end = t + response.length;
        while (t < end) {
          labels[t++] = PackedBatch.IGNORE_INDEX;
        }
        continue;
      }
      if (inResponse && atInstruction) {
        inResponse = false;
      }
      if (!inResponse) {
        labels[t] = PackedBatch.IGNORE_INDEX;
      }
      t++;
    }
    return new ExampleTokeniser.Tokens(
        ids, labels, tokens.unstablePrompt(), tokens.derivedTurns(), responses && !instructions);
  }

  private static boolean startsAt(int[] ids, int at, int[] part) {
    if (part.length == 0 || at + part.length > ids.length) {
      return false;
    }
    for (int i = 0; i < part.length; i++) {
      if (ids[at + i] != part[i]) {
        return false;
      }
    }
    return true;
  }
}
