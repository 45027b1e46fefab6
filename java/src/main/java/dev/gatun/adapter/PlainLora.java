package dev.gatun.adapter;

import dev.gatun.io.PeftAdapter;
import dev.gatun.io.PeftAdapter.LowRank;
import dev.gatun.model.LoraConfig;
import dev.gatun.nn.LoraModule;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.SortedMap;
import java.util.TreeMap;

/// Trained updates as ones that fit the checkpoint as it is stored, however they started.
///
/// After PiSSA the base that was trained on is `W − s·B₀·A₀`, so the update of `W` is `s·(B·A −
/// B₀·A₀)`: one of twice the rank. This is what PEFT saves with
/// `path_initial_model_for_weight_conversion`.
public final class PlainLora {
  private PlainLora() {}

  /// @param trained as the model holds it
  /// @param start where its updates started
  public static PeftAdapter of(PeftAdapter trained, SortedMap<String, LoraModule> start) {
    LoraConfig config = trained.config();
    return switch (config.initialization()) {
      case KAIMING_UNIFORM, GAUSSIAN, ORTHOGONAL, UNIFORM -> trained;
      // The base is what a checkpoint loaded in 4 bit is anyway.
      case LOFTQ ->
          new PeftAdapter(
              config.toBuilder().initialization(LoraConfig.Initialization.KAIMING_UNIFORM).build(),
              trained.baseModel(),
              trained.modules(),
              trained.saved(),
              trained.tokens(),
              Map.of());
      case PISSA -> {
        Map<String, LowRank> modules = new TreeMap<>();
        trained
            .modules()
            .forEach((path, update) ->
                modules.put(path, less(update, Objects.requireNonNull(start.get(path), path))));
        yield new PeftAdapter(
            doubled(config),
            trained.baseModel(),
            modules,
            trained.saved(),
            trained.tokens(),
            Map.of());
      }
    };
  }

  /// `[A ; A₀]` and `[B | −B₀]`.
  private static LowRank less(LowRank update, LoraModule start) {
    int rank = start.adapted().rank();
    int in = Math.toIntExact(update.a().cols());
    int out = Math.toIntExact(update.b().rows());
    float[] a = new float[Math.multiplyExact(2 * rank, in)];
    System.arraycopy(update.a().toFloats(), 0, a, 0, rank * in);
    System.arraycopy(start.a().toFloats(), 0, a, rank * in, rank * in);
    float[] trained = update.b().toFloats();
    float[] first = start.b().toFloats();
    float[] b = new float[Math.multiplyExact(out, 2 * rank)];
    for (int o = 0; o < out; o++) {
      for (int r = 0; r < rank; r++) {
        b[o * 2 * rank + r] = trained[o * rank + r];
        b[o * 2 * rank + rank + r] = -first[o * rank + r];
      }
    }
    return new LowRank(
        Tensor.ofFloats(Shape.of(2L * rank, in), a), Tensor.ofFloats(Shape.of(out, 2L * rank), b));
  }

  /// Twice the rank at the same scale.
  private static LoraConfig doubled(LoraConfig c) {
    double factor = c.rankStabilized() ? Math.sqrt(2) : 2;
    Map<String, Integer> ranks = new LinkedHashMap<>(c.rankPattern());
    ranks.replaceAll((_, rank) -> 2 * rank);
    Map<String, Double> alphas = new LinkedHashMap<>(c.alphaPattern());
    alphas.replaceAll((_, alpha) -> factor * alpha);
    return c.toBuilder()
        .rank(2 * c.rank())
        .alpha(factor * c.alpha())
        .rankPattern(ranks)
        .alphaPattern(alphas)
        .initialization(LoraConfig.Initialization.KAIMING_UNIFORM)
        .build();
  }
}
