package dev.gatun.generate;

import dev.gatun.InputException;
import dev.gatun.nn.CausalLm;
import dev.gatun.nn.KvCache;
import dev.gatun.nn.Options;
import java.util.List;
import java.util.Set;

/// Continues prompts, several at a time, with a key/value cache.
///
/// What comes out for a prompt does not depend on the prompts beside it but through the rounding of
/// the arithmetic; the same call gives the same tokens.
public final class Generator {
  private final LanguageModel model;

  public Generator(LanguageModel model) {
    this.model = model;
  }

  /// How to continue.
  ///
  /// @param batchSize prompts that are continued together
  /// @param stops ids that end a text besides those of the model
  public record Settings(int maxNewTokens, int batchSize, Sampler sampler, Set<Integer> stops) {
    /// Texts end where the model's own tokens say so.
    public Settings(int maxNewTokens, int batchSize, Sampler sampler) {
      this(maxNewTokens, batchSize, sampler, Set.of());
    }

    public Settings {
      stops = Set.copyOf(stops);
      if (maxNewTokens < 1) {
        throw new InputException("max-new-tokens must be at least 1, not " + maxNewTokens);
      }
      if (batchSize < 1) {
        throw new InputException("the batch size must be at least 1, not " + batchSize);
      }
    }
  }

  /// One continuation.
  ///
  /// @param ids generated token ids, without the one that ended the text
  /// @param ended whether the model ended the text; false if it ran into the limit
  public record Completion(int[] ids, boolean ended) {}

  /// Continues texts and returns the text that follows each.
  public List<String> continueTexts(List<String> prompts, Settings settings) {
    return continueTexts(prompts, true, settings);
  }

  /// Continues texts that a chat template made, which has put in every special token there is to
  /// be.
  public List<String> continueRendered(List<String> prompts, Settings settings) {
    return continueTexts(prompts, false, settings);
  }

  private List<String> continueTexts(
      List<String> prompts, boolean addSpecialTokens, Settings settings) {
    List<int[]> ids = model.tokenizer().encodeAll(prompts, addSpecialTokens);
    return generate(ids, settings).stream()
        .map(completion -> model.tokenizer().decode(completion.ids(), true))
        .toList();
  }

  /// Continues token ids.
  ///
  /// @throws InputException if a prompt is empty, holds an id the model lacks, or leaves no room in
  ///   the model's context
  public List<Completion> generate(List<int[]> prompts, Settings settings) {
    if (prompts.isEmpty()) {
      return List.of();
    }
    Decoder.Room room = Decoder.Room.of(prompts, settings, model.config());
    try (CausalLm network =
            CausalLm.create(
                model.backend(),
                model.config(),
                model.weights(),
                model.updates(),
                room.limits(),
                Options.plain());
        KvCache cache = room.cache(model.backend(), model.config())) {
      return new Decoder(model.backend(), network, cache, room, model.endOfText())
          .generate(prompts, settings);
    }
  }
}
