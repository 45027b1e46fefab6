package dev.gatun.bench;

import dev.gatun.op.AttentionOps;
import dev.gatun.op.Backend;
import dev.gatun.op.MlpOps;
import dev.gatun.op.Nf4Layout;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Nf4Codec;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.stream.Collectors;

/// Everything of a training step that is no linear layer.
final class LayerCases {
  private static final float EPSILON = 1e-5f;

  private final ModelShape model;
  private final long elementBytes;
  private final List<KernelCase> cases = new ArrayList<>();

  private LayerCases(ModelShape model, DType activationType) {
    this.model = model;
    this.elementBytes = activationType.bytes();
  }

  static List<KernelCase> of(ModelShape model, DType activationType) {
    LayerCases all = new LayerCases(model, activationType);
    for (List<Integer> lengths : model.packings()) {
      all.attention(lengths);
    }
    all.norm();
    all.swiglu();
    all.rope();
    all.embedding();
    all.quantisation();
    all.cases.addAll(LossCases.of(model, activationType));
    all.cases.addAll(OptimizerCases.of(model, activationType));
    return all.cases;
  }

  private void add(
      String op, String shape, double flops, double bytes, Function<Workplace, Runnable> prepare) {
    cases.add(new KernelCase(op, shape, flops, bytes, prepare));
  }

  private void attention(List<Integer> lengths) {
    double pairs = lengths.stream().mapToDouble(n -> n * (n + 1.0) / 2).sum();
    double product = 2 * pairs * model.headSize() * model.heads();
    double queries = (double) model.tokens() * model.heads() * model.headSize() * elementBytes;
    double keys = (double) model.tokens() * model.keyValueHeads() * model.headSize() * elementBytes;
    String shape =
        lengths.stream().distinct().count() == 1
            ? lengths.size() + "x" + lengths.getFirst()
            : lengths.stream().map(String::valueOf).collect(Collectors.joining("+"));
    add(
        "attention_forward",
        shape,
        2 * product,
        2 * queries + 2 * keys,
        place -> attention(place, lengths, false));
    // Scores again, then dv, dp, dq, dk.
    add(
        "attention_backward",
        shape,
        5 * product,
        4 * queries + 4 * keys,
        place -> attention(place, lengths, true));
  }

  private Runnable attention(Workplace place, List<Integer> lengths, boolean backward) {
    int tokens = model.tokens();
    AttentionOps ops = place.backend().attention();
    int[] starts = new int[lengths.size() + 1];
    for (int i = 0; i < lengths.size(); i++) {
      starts[i + 1] = starts[i] + lengths.get(i);
    }
    int longest = lengths.stream().mapToInt(n -> n).max().orElse(0);
    Tensor start = place.ints(starts);
    AttentionOps.Sequences unplanned =
        new AttentionOps.Sequences(
            start,
            start.rows(0, lengths.size()),
            place.ints(lengths.stream().mapToInt(n -> n).toArray()),
            lengths.size(),
            longest,
            longest);
    // A batch is planned once for all layers; what is measured is one of them.
    AttentionOps.Passes passes =
        new AttentionOps.Passes(
            tokens, tokens, model.headSize(), new TreeSet<>(Set.of(0)), backward);
    AttentionOps.Sequences sequences =
        ops.plan(unplanned, passes, place.arena(ops.planBytes(passes, lengths.size())));
    AttentionOps.Config config =
        new AttentionOps.Config((float) (1 / Math.sqrt(model.headSize())), 0, 0);
    Tensor q = place.activation(tokens, model.heads(), model.headSize());
    Tensor k = place.activation(tokens, model.keyValueHeads(), model.headSize());
    Tensor v = place.activation(tokens, model.keyValueHeads(), model.headSize());
    Tensor out = place.activation(tokens, model.heads(), model.headSize());
    Tensor logSumExp = place.zeros(DType.F32, tokens, model.heads());
    TensorArena scratch =
        place.arena(
            ops.scratchBytes(tokens, model.heads(), model.keyValueHeads(), model.headSize()));
    Runnable forward = () -> ops.forward(out, logSumExp, q, k, v, sequences, config, scratch);
    if (!backward) {
      return forward;
    }
    forward.run();
    Tensor dout = place.activation(tokens, model.heads(), model.headSize());
    Tensor dq = place.activation(tokens, model.heads(), model.headSize());
    Tensor dk = place.activation(tokens, model.keyValueHeads(), model.headSize());
    Tensor dv = place.activation(tokens, model.keyValueHeads(), model.headSize());
    return () ->
        ops.backward(dq, dk, dv, dout, q, k, v, out, logSumExp, sequences, config, scratch);
  }

  private void norm() {
    double matrix = (double) model.tokens() * model.hidden() * elementBytes;
    String shape = model.tokens() + "x" + model.hidden();
    add(
        "rms_norm_forward",
        shape,
        0,
        2 * matrix,
        place -> {
          Tensor x = place.activation(model.tokens(), model.hidden());
          Tensor y = place.activation(model.tokens(), model.hidden());
          Tensor weight = place.activation(model.hidden());
          Tensor rstd = place.zeros(DType.F32, model.tokens());
          return () -> place.backend().norm().forward(y, rstd, x, weight, EPSILON, 0);
        });
    add(
        "rms_norm_backward",
        shape,
        0,
        4 * matrix,
        place -> {
          Backend backend = place.backend();
          Tensor x = place.activation(model.tokens(), model.hidden());
          Tensor dy = place.activation(model.tokens(), model.hidden());
          Tensor dx = place.activation(model.tokens(), model.hidden());
          Tensor residual = place.activation(model.tokens(), model.hidden());
          Tensor weight = place.activation(model.hidden());
          Tensor rstd = place.random(DType.F32, model.tokens());
          TensorArena scratch =
              place.arena(backend.norm().scratchBytes(model.tokens(), model.hidden()));
          return () -> backend.norm().backward(dx, null, dy, residual, x, weight, rstd, 0, scratch);
        });
  }

  private void swiglu() {
    double matrix = (double) model.tokens() * model.intermediate() * elementBytes;
    String shape = model.tokens() + "x" + model.intermediate();
    add(
        "swiglu_forward",
        shape,
        0,
        3 * matrix,
        place -> {
          Tensor gate = place.activation(model.tokens(), model.intermediate());
          Tensor up = place.activation(model.tokens(), model.intermediate());
          Tensor h = place.activation(model.tokens(), model.intermediate());
          return () -> place.backend().mlp().forward(h, gate, up, MlpOps.Activation.SILU);
        });
    add(
        "swiglu_backward",
        shape,
        0,
        6 * matrix,
        place -> {
          Tensor gate = place.activation(model.tokens(), model.intermediate());
          Tensor up = place.activation(model.tokens(), model.intermediate());
          Tensor dh = place.activation(model.tokens(), model.intermediate());
          Tensor dgate = place.activation(model.tokens(), model.intermediate());
          Tensor dup = place.activation(model.tokens(), model.intermediate());
          Tensor h = place.activation(model.tokens(), model.intermediate());
          return () ->
              place.backend().mlp().backward(dgate, dup, h, dh, gate, up, MlpOps.Activation.SILU);
        });
  }

  private void rope() {
    double bytes =
        2.0 * model.tokens() * model.heads() * model.headSize() * elementBytes
            + 4.0 * model.tokens() * model.headSize();
    String shape = "%dx%dx%d".formatted(model.tokens(), model.heads(), model.headSize());
    add(
        "rope",
        shape,
        0,
        bytes,
        place -> {
          Tensor x = place.activation(model.tokens(), model.heads(), model.headSize());
          int[] positions = new int[model.tokens()];
          java.util.Arrays.setAll(positions, i -> i);
          Tensor rows = place.ints(positions);
          Tensor cos = place.random(DType.F32, model.tokens(), model.headSize() / 2);
          Tensor sin = place.random(DType.F32, model.tokens(), model.headSize() / 2);
          return () -> place.backend().rope().apply(x, rows, cos, sin, false);
        });
  }

  private void embedding() {
    double bytes = (double) model.tokens() * model.hidden() * (elementBytes + DType.BF16.bytes());
    add(
        "embedding_gather",
        model.tokens() + "x" + model.hidden(),
        0,
        bytes,
        place -> {
          Tensor table = place.random(DType.BF16, model.vocabulary(), model.hidden());
          Tensor y = place.activation(model.tokens(), model.hidden());
          SplittableRandom random = new SplittableRandom(5);
          Tensor ids = place.ints(random.ints(model.tokens(), 0, model.vocabulary()).toArray());
          return () -> place.backend().embedding().gather(y, table, ids, 1);
        });
  }

  private void quantisation() {
    int out = model.intermediate();
    int in = model.hidden();
    double elements = (double) out * in;
    double packed = elements * (0.5 + 1.0 / 64);
    double plain = elements * (0.5 + 4.0 / 64);
    String shape = out + "x" + in;
    add(
        "nf4_quantize",
        shape,
        0,
        elements * DType.BF16.bytes() + plain,
        place -> {
          // Plain scales: the mean of nested ones is taken on the host.
          Nf4Layout layout = new Nf4Layout(out, in, Nf4Codec.BLOCK, false, DType.BF16);
          Weight.Nf4 target = layout.allocate(place.arena(layout.arenaBytes()));
          Tensor source = place.random(DType.BF16, out, in);
          TensorArena scratch = place.arena(TensorArena.sizeOf(DType.F32, target.absmax().count()));
          return () -> place.backend().quant().quantize(target, source, scratch);
        });
    add(
        "nf4_dequantize",
        shape,
        0,
        elements * DType.BF16.bytes() + packed,
        place -> {
          Weight weight = place.nf4(out, in);
          Tensor y = place.random(DType.BF16, out, in);
          return () -> place.backend().quant().dequantize(y, weight);
        });
  }
}
