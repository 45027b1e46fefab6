package dev.gatun.generate;

import dev.gatun.InputException;
import dev.gatun.nn.CausalLm;
import dev.gatun.nn.KvCache;
import dev.gatun.nn.Limits;
import dev.gatun.nn.Options;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;

/// Continues prompts, several at a time, with a key/value cache.
///
/// What comes out for a prompt does not depend on the prompts beside it but through the rounding of
/// the arithmetic; the same call gives the same tokens.
public final class Generator {
  /// Tokens of prompts that go through the model in one pass, unless one prompt alone has more.
  private static final int PREFILL_TOKENS = 1024;

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
    int longest = requireRoom(prompts, settings);
    int slots = Math.min(settings.batchSize(), prompts.size());
    int capacity = longest + settings.maxNewTokens();
    int passTokens =
        Math.max(slots, Math.max(longest, (int) Math.min((long) slots * longest, PREFILL_TOKENS)));
    Limits limits = Limits.generation(passTokens, slots, capacity);
    try (CausalLm network =
            CausalLm.create(
                model.backend(),
                model.config(),
                model.weights(),
                model.updates(),
                limits,
                Options.plain());
        KvCache cache = KvCache.create(model.backend(), model.config(), slots, capacity)) {
      List<Completion> completions = new ArrayList<>();
      for (int first = 0; first < prompts.size(); first += slots) {
        int last = Math.min(first + slots, prompts.size());
        Batch batch = new Batch(network, cache, settings, first, passTokens);
        completions.addAll(batch.run(prompts.subList(first, last)));
      }
      return completions;
    }
  }

  private int requireRoom(List<int[]> prompts, Settings settings) {
    int longest = 0;
    for (int i = 0; i < prompts.size(); i++) {
      int length = prompts.get(i).length;
      if (length == 0) {
        throw new InputException("prompt %d is empty; give at least one token".formatted(i + 1));
      }
      if (length + (long) settings.maxNewTokens() > model.config().maxPositions()) {
        throw new InputException(
            "prompt %d has %d tokens and %d more are asked for, but the model's context holds %d"
                .formatted(i + 1, length, settings.maxNewTokens(), model.config().maxPositions()));
      }
      longest = Math.max(longest, length);
    }
    return longest;
  }

  /// Prompts that are continued together, one in each slot of the cache.
  private final class Batch {
    private final CausalLm network;
    private final KvCache cache;
    private final Settings settings;
    private final int firstPrompt;
    private final int passTokens;
    private final Set<Integer> ends;
    private final Tensor logits;

    /// @param firstPrompt number of the prompt in slot 0
    Batch(CausalLm network, KvCache cache, Settings settings, int firstPrompt, int passTokens) {
      this.network = network;
      this.cache = cache;
      this.settings = settings;
      this.firstPrompt = firstPrompt;
      this.passTokens = passTokens;
      ends = new HashSet<>(model.endOfText());
      ends.addAll(settings.stops());
      int vocabulary = model.config().vocabulary();
      float[] zeros = new float[Math.multiplyExact(cache.slots(), vocabulary)];
      logits = Tensor.ofFloats(Shape.of(cache.slots(), vocabulary), zeros);
    }

    List<Completion> run(List<int[]> prompts) {
      int[][] generated = new int[prompts.size()][settings.maxNewTokens()];
      int[] counts = new int[prompts.size()];
      boolean[] ended = new boolean[prompts.size()];
      int[][] next = new int[cache.slots()][];
      for (int slot = 0; slot < cache.slots(); slot++) {
        cache.clear(slot);
        next[slot] = slot < prompts.size() ? prompts.get(slot) : new int[0];
      }
      while (IntStream.range(0, next.length).anyMatch(slot -> next[slot].length > 0)) {
        int[] tokens = sample(next, counts);
        for (int slot = 0; slot < prompts.size(); slot++) {
          if (next[slot].length == 0) {
            continue;
          }
          next[slot] = new int[0];
          if (ends.contains(tokens[slot])) {
            ended[slot] = true;
          } else {
            generated[slot][counts[slot]++] = tokens[slot];
            if (counts[slot] < settings.maxNewTokens()) {
              next[slot] = new int[] {tokens[slot]};
            }
          }
        }
      }
      return IntStream.range(0, prompts.size())
          .mapToObj(i -> new Completion(Arrays.copyOf(generated[i], counts[i]), ended[i]))
          .toList();
    }

    /// Runs the new tokens of all slots, in as many passes as it takes, and chooses a next token
    /// for every slot that had any.
    private int[] sample(int[][] newTokens, int[] counts) {
      int[] chosen = new int[newTokens.length];
      int from = 0;
      while (from < newTokens.length) {
        int to = from;
        int total = 0;
        while (to < newTokens.length && total + newTokens[to].length <= passTokens) {
          total += newTokens[to++].length;
        }
        if (total > 0) {
          choose(chosen, slice(newTokens, from, to), counts);
        }
        from = to;
      }
      return chosen;
    }

    private void choose(int[] chosen, int[][] newTokens, int[] counts) {
      Tensor rows = network.decode(cache, newTokens);
      Tensor host = logits.rows(0, rows.rows());
      model.backend().download(host.segment(), rows);
      int row = 0;
      for (int slot = 0; slot < newTokens.length; slot++) {
        if (newTokens[slot].length > 0) {
          float[] values = host.rows(row++, 1).toFloats();
          chosen[slot] = settings.sampler().next(values, firstPrompt + slot, counts[slot]);
        }
      }
    }

    private static int[][] slice(int[][] newTokens, int from, int to) {
      int[][] part = new int[newTokens.length][0];
      System.arraycopy(newTokens, from, part, from, to - from);
      return part;
    }
  }
}
