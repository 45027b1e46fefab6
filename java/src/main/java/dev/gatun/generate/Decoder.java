package dev.gatun.generate;

import dev.gatun.InputException;
import dev.gatun.generate.Generator.Completion;
import dev.gatun.generate.Generator.Settings;
import dev.gatun.model.ModelConfig;
import dev.gatun.nn.CausalLm;
import dev.gatun.nn.KvCache;
import dev.gatun.nn.Limits;
import dev.gatun.op.Backend;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;

/// Continues prompts with a model that is already there, be it frozen or in training; the cache has
/// a slot for each prompt that is continued at a time. Not thread-safe.
public final class Decoder {
  /// Tokens of prompts that go through the model in one pass, unless one prompt alone has more.
  private static final int PREFILL_TOKENS = 1024;

  private final Backend backend;
  private final CausalLm network;
  private final KvCache cache;
  private final int passTokens;
  private final Set<Integer> endOfText;
  private final Tensor logits;

  /// What certain prompts need.
  ///
  /// @param slots prompts at a time
  /// @param capacity tokens of the longest prompt with its continuation
  /// @param passTokens most tokens in one pass
  public record Room(int slots, int capacity, int passTokens) {
    /// @param prompts at least one
    /// @throws InputException if a prompt is empty or leaves no room in the model's context
    public static Room of(List<int[]> prompts, Settings settings, ModelConfig config) {
      int longest = requireRoom(prompts, settings, config);
      int slots = Math.min(settings.batchSize(), prompts.size());
      int prefill = (int) Math.min((long) slots * longest, PREFILL_TOKENS);
      return new Room(
          slots, longest + settings.maxNewTokens(), Math.max(slots, Math.max(longest, prefill)));
    }

    /// Room for what either is for.
    public Room or(Room other) {
      return new Room(
          Math.max(slots, other.slots),
          Math.max(capacity, other.capacity),
          Math.max(passTokens, other.passTokens));
    }

    private static int requireRoom(List<int[]> prompts, Settings settings, ModelConfig config) {
      int longest = 0;
      for (int i = 0; i < prompts.size(); i++) {
        int length = prompts.get(i).length;
        if (length == 0) {
          throw new InputException("prompt %d is empty; give at least one token".formatted(i + 1));
        }
        if (length + (long) settings.maxNewTokens() > config.maxPositions()) {
          throw new InputException(
              "prompt %d has %d tokens and %d more are asked for, but the model's context holds %d"
                  .formatted(i + 1, length, settings.maxNewTokens(), config.maxPositions()));
        }
        longest = Math.max(longest, length);
      }
      return longest;
    }

    /// What the model must be built for.
    public Limits limits() {
      return Limits.generation(passTokens, slots, capacity);
    }

    /// Bytes of [#cache].
    public long cacheBytes(Backend backend, ModelConfig config) {
      return KvCache.byteSize(config, backend.activationType(), slots, capacity);
    }

    /// A cache for these prompts, which the caller closes.
    public KvCache cache(Backend backend, ModelConfig config) {
      return KvCache.create(backend, config, slots, capacity);
    }
  }

  /// @param network built for the limits of `room`, or more
  /// @param cache from [Room#cache]; stays the caller's
  /// @param endOfText ids that end a text
  public Decoder(
      Backend backend, CausalLm network, KvCache cache, Room room, Set<Integer> endOfText) {
    this.backend = backend;
    this.network = network;
    this.cache = cache;
    this.passTokens = room.passTokens();
    this.endOfText = Set.copyOf(endOfText);
    int vocabulary = network.config().vocabulary();
    float[] zeros = new float[Math.multiplyExact(cache.slots(), vocabulary)];
    logits = Tensor.ofFloats(Shape.of(cache.slots(), vocabulary), zeros);
  }

  /// Continues token ids, as many prompts at a time as the cache has slots.
  ///
  /// @param prompts those that the room is for
  public List<Completion> generate(List<int[]> prompts, Settings settings) {
    List<Completion> completions = new ArrayList<>();
    for (int first = 0; first < prompts.size(); first += cache.slots()) {
      int last = Math.min(first + cache.slots(), prompts.size());
      completions.addAll(new Batch(settings, first).run(prompts.subList(first, last)));
    }
    return completions;
  }

  /// Prompts that are continued together, one in each slot of the cache.
  private final class Batch {
    private final Settings settings;
    private final int firstPrompt;
    private final Set<Integer> ends;

    /// @param firstPrompt number of the prompt in slot 0
    Batch(Settings settings, int firstPrompt) {
      this.settings = settings;
      this.firstPrompt = firstPrompt;
      ends = new HashSet<>(endOfText);
      ends.addAll(settings.stops());
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
      backend.download(host.segment(), rows);
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
