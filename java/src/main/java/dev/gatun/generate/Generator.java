package dev.gatun.generate;

import dev.gatun.InputException;
import dev.gatun.nn.CausalLm;
import dev.gatun.nn.KvCache;
import dev.gatun.nn.Options;
import dev.gatun.nn.Training;
import dev.gatun.text.chat.ChatTemplate;
import java.util.List;
import java.util.Set;

/// Continues prompts, several at a time, with a key/value cache.
///
/// What comes out for a prompt does not depend on the prompts beside it but through the rounding of
/// the arithmetic; the same call gives the same tokens.
public final class Generator {
  private final LanguageModel model;
  private final Training.Frozen adapter;

  /// @param adapter from [LanguageModel#readAdapter], or [Training#frozen] for the checkpoint as it
  ///   is
  public Generator(LanguageModel model, Training.Frozen adapter) {
    this.model = model;
    this.adapter = adapter;
  }

  /// How to continue.
  ///
  /// @param batchSize prompts that are continued together
  public record Settings(int maxNewTokens, int batchSize, Sampler sampler) {
    public Settings {
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
    return decode(generate(model.tokenizer().encodeAll(prompts, true), settings));
  }

  /// Continues texts that a chat template made, which has put in every special token there is to
  /// be. They end where the assistant's turn does, too.
  public List<String> continueRendered(
      List<String> prompts, ChatTemplate template, Settings settings) {
    return decode(generate(model.tokenizer().encodeAll(prompts, false), ends(template), settings));
  }

  Set<Integer> ends(ChatTemplate template) {
    return TextEnds.withTurn(model.endOfText(), template, model.tokenizer());
  }

  private List<String> decode(List<Completion> completions) {
    return completions.stream()
        .map(completion -> model.tokenizer().decode(completion.ids(), true))
        .toList();
  }

  /// Continues token ids.
  ///
  /// @throws InputException if a prompt is empty, holds an id the model lacks, or leaves no room in
  ///   the model's context
  public List<Completion> generate(List<int[]> prompts, Settings settings) {
    return generate(prompts, model.endOfText(), settings);
  }

  private List<Completion> generate(List<int[]> prompts, Set<Integer> ends, Settings settings) {
    if (prompts.isEmpty()) {
      return List.of();
    }
    Decoder.Room room = Decoder.Room.of(prompts, settings, model.config());
    try (CausalLm network =
            CausalLm.create(
                model.backend(),
                model.config(),
                model.weights(),
                adapter,
                room.limits(),
                Options.plain());
        KvCache cache = room.cache(model.backend(), model.config())) {
      return new Decoder(model.backend(), network, cache, room, ends).generate(prompts, settings);
    }
  }
}
