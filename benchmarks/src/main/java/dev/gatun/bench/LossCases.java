package dev.gatun.bench;

import dev.gatun.nn.Options;
import dev.gatun.op.Backend;
import dev.gatun.op.LossOps;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/// Fused linear cross-entropy beside the products it cannot do without: logits and gradient of the
/// hidden states, and with a trained head the head's gradient. Where rows are masked, the products
/// are those of the trained rows.
final class LossCases {
  private final ModelShape model;
  private final long elementBytes;
  private final List<KernelCase> cases = new ArrayList<>();

  private LossCases(ModelShape model, DType activationType) {
    this.model = model;
    this.elementBytes = activationType.bytes();
  }

  static List<KernelCase> of(ModelShape model, DType activationType) {
    LossCases all = new LossCases(model, activationType);
    all.add("linear_cross_entropy", 0, Gradient.NONE);
    for (int masked : new int[] {0, 50, 90}) {
      all.add("linear_cross_entropy_gradient", masked, Gradient.HIDDEN);
      all.add("linear_cross_entropy_trained", masked, Gradient.HEAD);
    }
    return all.cases;
  }

  /// What is differentiated, each with what comes before.
  private enum Gradient {
    NONE,
    HIDDEN,
    HEAD
  }

  private void add(String op, int maskedPercent, Gradient gradient) {
    int trained = model.tokens() * (100 - maskedPercent) / 100;
    double product = 2.0 * trained * model.hidden() * model.vocabulary();
    double head = (double) model.vocabulary() * model.hidden();
    double rows = (double) trained * model.hidden() * elementBytes;
    double bytes =
        switch (gradient) {
          case NONE -> head * DType.BF16.bytes() + rows;
          case HIDDEN -> head * DType.BF16.bytes() + 2 * rows;
          case HEAD -> head * (DType.BF16.bytes() + 2.0 * Float.BYTES) + 2 * rows;
        };
    cases.add(
        new KernelCase(
            op,
            "%dx%dx%d %d%% masked"
                .formatted(model.tokens(), model.hidden(), model.vocabulary(), maskedPercent),
            (gradient.ordinal() + 1) * product,
            bytes,
            place -> fused(place, trained, gradient),
            place -> products(place, trained, gradient)));
  }

  private Runnable fused(Workplace place, int trained, Gradient gradient) {
    int tokens = model.tokens();
    Backend backend = place.backend();
    int[] rows = new int[trained];
    int[] labels = new int[trained];
    SplittableRandom random = new SplittableRandom(3);
    for (int i = 0; i < trained; i++) {
      rows[i] = (int) ((long) i * tokens / trained);
      labels[i] = random.nextInt(model.vocabulary());
    }
    LossOps.Targets targets = new LossOps.Targets(place.ints(rows), place.ints(labels));
    LossOps.Config config = LossOps.Config.plain(Options.lossChunkRows(model.vocabulary()));
    LossOps.Outputs outputs =
        new LossOps.Outputs(place.zeros(DType.F32, trained), place.zeros(DType.I32, trained), null);
    Tensor upstream = place.random(DType.F32, 1);
    LossOps.@Nullable Gradients gradients =
        gradient == Gradient.NONE
            ? null
            : new LossOps.Gradients(
                place.activation(tokens, model.hidden()),
                gradient == Gradient.HEAD ? headGradient(place) : null,
                null,
                upstream);
    Tensor hidden = place.activation(tokens, model.hidden());
    Weight head = place.dense(model.vocabulary(), model.hidden());
    TensorArena scratch = place.arena(backend.loss().scratchBytes(trained, head, config));
    return () ->
        backend
            .loss()
            .linearCrossEntropy(outputs, gradients, hidden, head, null, targets, config, scratch);
  }

  private Tensor headGradient(Workplace place) {
    return place.zeros(DType.F32, model.vocabulary(), model.hidden());
  }

  // Whole products, not chunk by chunk.
  private Runnable products(Workplace place, int trained, Gradient gradient) {
    Weight.Dense head = place.dense(model.vocabulary(), model.hidden());
    Tensor hidden = place.activation(trained, model.hidden());
    Tensor logits = place.activation(trained, model.vocabulary());
    BareProducts bare = new BareProducts(place, trained, head);
    return switch (gradient) {
      case NONE -> () -> bare.forward(logits, hidden);
      case HIDDEN -> {
        Tensor dHidden = place.activation(trained, model.hidden());
        yield () -> {
          bare.forward(logits, hidden);
          bare.inputGradient(dHidden, logits);
        };
      }
      case HEAD -> {
        Tensor dHidden = place.activation(trained, model.hidden());
        Tensor dHead = headGradient(place);
        yield () -> {
          bare.forward(logits, hidden);
          bare.inputGradient(dHidden, logits);
          bare.weightGradient(dHead, logits, hidden);
        };
      }
    };
  }
}
