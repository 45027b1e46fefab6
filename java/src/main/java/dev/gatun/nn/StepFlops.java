package dev.gatun.nn;

import dev.gatun.model.ModelConfig;
import java.util.Map;
import java.util.TreeMap;

/// Floating-point operations that a training step calls for: forward and backward of every matrix,
/// and attention over the pairs of tokens that see each other. What checkpointing runs again is not
/// counted, so that the figure says how much gets done, however it is done.
public final class StepFlops {
  // Two products forward; backward five, since it makes the scores again.
  private static final double PER_PAIR = 14;

  private final double perToken;
  private final double perTarget;
  private final double perPair;
  private final Map<Integer, Integer> layersByWindow = new TreeMap<>();

  private StepFlops(ModelConfig config, boolean trainsWeights) {
    // Two for each weight forward, two for the input's gradient, two for the weight's own.
    double perWeight = trainsWeights ? 6 : 4;
    perToken =
        perWeight
            * ModuleTree.linears(config).stream()
                .mapToDouble(linear -> (double) linear.out() * linear.in())
                .sum();
    perTarget = perWeight * config.hidden() * config.vocabulary();
    perPair = PER_PAIR * config.headSize() * config.heads();
    config.layers().forEach(layer -> layersByWindow.merge(layer.window(), 1, Integer::sum));
  }

  /// @param trainsWeights whether gradients of the model's own weights are made
  public static StepFlops of(ModelConfig config, boolean trainsWeights) {
    return new StepFlops(config, trainsWeights);
  }

  /// Operations of a forward and backward pass.
  ///
  /// @param targets tokens that the head predicts
  /// @param lengths of the sequences, in tokens
  public double pass(long targets, int[] lengths) {
    double tokens = 0;
    double pairs = 0;
    for (int length : lengths) {
      tokens += length;
      for (Map.Entry<Integer, Integer> layers : layersByWindow.entrySet()) {
        pairs += layers.getValue() * pairs(length, layers.getKey());
      }
    }
    return perToken * tokens + perTarget * targets + perPair * pairs;
  }

  /// Pairs of a token with itself or one before it, at most `window` of them for each token; 0 for
  /// no limit.
  private static double pairs(double length, int window) {
    double limited = window == 0 ? length : Math.min(window, length);
    return limited * (limited + 1) / 2 + (length - limited) * limited;
  }
}
