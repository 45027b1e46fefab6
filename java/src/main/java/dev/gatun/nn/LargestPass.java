package dev.gatun.nn;

import dev.gatun.model.ModelConfig;
import dev.gatun.op.PlanningBackend;
import java.util.Arrays;

/// Passes of the largest size that limits allow, for planning memory.
final class LargestPass {
  private LargestPass() {}

  /// A batch with every token, sequence and trained row that the limits allow.
  ///
  /// @throws IllegalArgumentException if the sequences are too short to hold the tokens
  static BatchInput batch(Limits limits) {
    int tokens = limits.tokens();
    int[] lengths =
        spread(tokens, Math.clamp(limits.sequences(), 1, tokens), limits.longestSequence());
    int[] rows = new int[limits.trainedRows()];
    Arrays.setAll(rows, i -> i);
    int[] positions = BatchInput.ofLabels(new int[tokens], lengths, new int[tokens]).positionIds();
    return new BatchInput(new int[tokens], positions, lengths, rows, new int[rows.length]);
  }

  /// A decoding step of the largest size on an empty cache.
  static KvCache.Step step(PlanningBackend planning, ModelConfig config, Limits limits) {
    int[] lengths =
        spread(limits.decodeTokens(), limits.decodeSequences(), limits.longestSequence());
    int[][] ids = Arrays.stream(lengths).mapToObj(int[]::new).toArray(int[][]::new);
    KvCache cache = KvCache.create(planning, config, ids.length, ids[0].length);
    return cache.append(ids);
  }

  /// Lengths of `sequences` sequences of `tokens` tokens in all, the first ones as long as allowed.
  private static int[] spread(int tokens, int sequences, int longest) {
    int[] lengths = new int[sequences];
    Arrays.fill(lengths, 1);
    int left = tokens - sequences;
    for (int i = 0; i < sequences && left > 0; i++) {
      int more = Math.min(left, longest - 1);
      lengths[i] += more;
      left -= more;
    }
    if (left > 0) {
      throw new IllegalArgumentException(
          "%d sequences of up to %d tokens cannot fill a batch of %d tokens"
              .formatted(sequences, longest, tokens));
    }
    return lengths;
  }
}
