package dev.gatun.generate;

import dev.gatun.FailureException;
import dev.gatun.InputException;
import dev.gatun.op.Philox;
import java.util.Arrays;

/// Chooses the next token from a row of logits: greedily, or at random after the filters of
/// transformers' generation, in its order: temperature, top-k, top-p.
///
/// A draw depends only on the seed, the number of the prompt and the number of the token, never on
/// what else is in the batch.
///
/// @param temperature logits are divided by it; 0 for greedy
/// @param topK only this many most likely tokens; 0 for all
/// @param topP only the fewest most likely tokens whose probabilities reach this sum; 1 for all
public record Sampler(double temperature, int topK, double topP, long seed) {

  public Sampler {
    if (!(temperature >= 0) || Double.isInfinite(temperature)) {
      throw new InputException("temperature must be 0 or more, not " + temperature + ".");
    }
    if (topK < 0) {
      throw new InputException("top-k must be 0 (off) or more, not " + topK + ".");
    }
    if (!(topP > 0 && topP <= 1)) {
      throw new InputException("top-p must be above 0 and at most 1, not " + topP + ".");
    }
  }

  /// Always the most likely token; of equal ones the lowest id.
  public static Sampler greedy() {
    return new Sampler(0, 0, 1, 0);
  }

  /// The token that follows.
  ///
  /// @param logits one row `[V]`
  /// @param prompt number of the prompt
  /// @param position how many tokens were generated for it so far
  /// @throws FailureException if a logit is not a number or infinite
  public int next(float[] logits, int prompt, int position) {
    for (float logit : logits) {
      if (!(logit < Float.POSITIVE_INFINITY)) {
        throw new FailureException(
            "The model's output for prompt "
                + (prompt + 1)
                + " is not finite at generated token "
                + (position + 1)
                + ": the checkpoint or the adapter holds bad values.");
      }
    }
    return temperature == 0 ? mostLikely(logits) : draw(logits, uniform(prompt, position));
  }

  private static int mostLikely(float[] logits) {
    int best = 0;
    for (int id = 1; id < logits.length; id++) {
      if (logits[id] > logits[best]) {
        best = id;
      }
    }
    return best;
  }

  private int draw(float[] logits, double uniform) {
    int[] ids = byLikelihood(logits);
    int candidates = topK == 0 ? ids.length : Math.min(topK, ids.length);
    double[] weights = new double[candidates];
    double total = 0;
    for (int i = 0; i < candidates; i++) {
      weights[i] = Math.exp(((double) logits[ids[i]] - logits[ids[0]]) / temperature);
      total += weights[i];
    }
    int kept = nucleus(weights, total);
    double keptTotal = 0;
    for (int i = 0; i < kept; i++) {
      keptTotal += weights[i];
    }
    double threshold = uniform * keptTotal;
    double sum = 0;
    for (int i = 0; i < kept - 1; i++) {
      sum += weights[i];
      if (threshold < sum) {
        return ids[i];
      }
    }
    return ids[kept - 1];
  }

  /// How many of the weights, largest first, it takes to reach the share `topP`; at least one.
  private int nucleus(double[] weights, double total) {
    double sum = 0;
    for (int i = 0; i < weights.length; i++) {
      sum += weights[i];
      if (topP < 1 && sum >= topP * total) {
        return i + 1;
      }
    }
    return weights.length;
  }

  /// Token ids, most likely first, equal ones by id: sorted as integers whose upper half orders
  /// like the negated logit.
  private static int[] byLikelihood(float[] logits) {
    long[] keys = new long[logits.length];
    for (int id = 0; id < logits.length; id++) {
      int bits = Float.floatToIntBits(-logits[id] + 0f);
      int ordered = bits ^ (bits >> 31 & Integer.MAX_VALUE);
      keys[id] = (long) ordered << 32 | id;
    }
    Arrays.sort(keys);
    int[] ids = new int[keys.length];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = (int) keys[i];
    }
    return ids;
  }

  /// A number in [0, 1) with 53 random bits.
  private double uniform(int prompt, int position) {
    int[] words = new int[4];
    Philox.block(words, seed, position, prompt, 0);
    long bits = (words[0] & 0xFFFFFFFFL) << 21 | (words[1] & 0xFFFFFFFFL) >>> 11;
    return bits * 0x1p-53;
  }
}
