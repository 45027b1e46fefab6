package dev.gatun.nn;

import dev.gatun.op.AttentionOps;
import dev.gatun.tensor.Tensor;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The first half of a decoder layer: `y = x + o(attention(rope(qkv(norm(x)))))`, with normalised
/// queries and keys where the model has that.
final class Attention implements Layer<Attention.Saved> {
  /// @param x input
  record Saved(Tensor x, Projected projected, Attended attended) {}

  /// Queries, keys and values.
  ///
  /// @param q after normalisation and rotation, `[T, N, D]`; `k` and `v` likewise `[T, K, D]`
  /// @param heads what the normalisation of queries and keys needs, or null
  record Projected(
      Tensor rstd,
      Tensor q,
      Tensor k,
      Tensor v,
      @Nullable HeadNorms heads,
      LinearGroup.Inner inputInner) {}

  /// What attention makes of them.
  ///
  /// @param out `[T, N·D]`
  /// @param logSumExp F32 `[T, N]`
  record Attended(LinearGroup.Input out, Tensor logSumExp) {}

  /// Queries and keys before normalisation, and their reciprocal deviations.
  record HeadNorms(Tensor q, Tensor k, Tensor rstdQ, Tensor rstdK) {}

  /// Sizes: query heads, key/value heads, elements of a head.
  record Heads(int queries, int keys, int size) {}

  private final int index;
  private final String path;
  private final Heads heads;
  private final AttentionOps.Config config;
  private final RmsNorm norm;
  private final @Nullable RmsNorm queryNorm;
  private final @Nullable RmsNorm keyNorm;
  private final LinearGroup input;
  private final LinearGroup output;

  /// @param index of the decoder layer
  Attention(int index, Heads heads, AttentionOps.Config config, Norms norms, Linears linears) {
    this.index = index;
    this.path = ModuleTree.layer(index) + ".self_attn";
    this.heads = heads;
    this.config = config;
    this.norm = norms.input();
    this.queryNorm = norms.query();
    this.keyNorm = norms.key();
    this.input = linears.input();
    this.output = linears.output();
  }

  /// The normalisations of this half; those of queries and keys are both null or both set.
  record Norms(RmsNorm input, @Nullable RmsNorm query, @Nullable RmsNorm key) {}

  /// @param input q, k and v
  /// @param output o
  record Linears(LinearGroup input, LinearGroup output) {}

  /// Columns that products want behind the gradient of this half.
  long gradientRoom() {
    return output.ranks();
  }

  @Override
  public boolean isTrained() {
    return norm.isTrained()
        || (queryNorm != null && queryNorm.isTrained())
        || input.isTrained()
        || output.isTrained();
  }

  @Override
  public void forward(@Nullable Tensor y, Saved saved, Pass pass) {
    project(saved, pass);
    attend(saved, pass);
    if (y != null) {
      output.forward(List.of(y), saved.attended().out(), saved.x(), pass);
      pass.probe().observe(path, "output", y);
    }
  }

  Projected allocateProjected(Pass pass) {
    int t = pass.tokenCount();
    Tensor rstd = pass.floats(t);
    List<Tensor> projected = input.allocateOutputs(false, pass).ys();
    Tensor q = heads(projected.get(0), heads.queries());
    Tensor k = heads(projected.get(1), heads.keys());
    Tensor v = heads(projected.get(2), heads.keys());
    HeadNorms raw = null;
    if (queryNorm != null && pass.training()) {
      raw = new HeadNorms(q, k, pass.floats(t, heads.queries()), pass.floats(t, heads.keys()));
      q = pass.activation(t, heads.queries(), heads.size());
      k = pass.activation(t, heads.keys(), heads.size());
    }
    return new Projected(rstd, q, k, v, raw, input.allocateInner(pass));
  }

  Attended allocateAttended(Pass pass) {
    LinearGroup.Input out = output.allocateInput(pass);
    return new Attended(out, pass.floats(pass.tokenCount(), heads.queries()));
  }

  /// Queries, keys and values alone: normalised where the model does that, and rotated.
  void project(Saved saved, Pass pass) {
    Projected projected = saved.projected();
    long mark = pass.arena().mark();
    LinearGroup.Input normed = input.allocateInput(pass);
    norm.forward(normed.x(), projected.rstd(), saved.x(), pass);
    HeadNorms raw = projected.heads();
    Tensor q = raw == null ? projected.q() : raw.q();
    Tensor k = raw == null ? projected.k() : raw.k();
    input.forward(List.of(flat(q), flat(k), flat(projected.v())), normed, null, pass);
    input.keep(projected.inputInner(), normed.inner(), pass);
    pass.arena().release(mark);
    pass.probe().observe(path, "queries", q);
    pass.probe().observe(path, "keys", k);
    pass.probe().observe(path, "values", projected.v());
    if (queryNorm != null && keyNorm != null) {
      queryNorm.forward(projected.q(), raw == null ? null : raw.rstdQ(), q, pass);
      keyNorm.forward(projected.k(), raw == null ? null : raw.rstdK(), k, pass);
    }
    rotate(projected.q(), projected.k(), false, pass);
  }

  private void attend(Saved saved, Pass pass) {
    Tensor keys = saved.projected().k();
    Tensor values = saved.projected().v();
    Tensor out = saved.attended().out().x();
    KvCache.Step cache = pass.cache();
    if (cache != null) {
      cache.store(pass.backend(), index, keys, values);
      keys = cache.keys(index);
      values = cache.values(index);
    }
    pass.backend()
        .attention()
        .forward(
            heads(out, heads.queries()),
            saved.attended().logSumExp(),
            saved.projected().q(),
            keys,
            values,
            pass.tokens().sequences(),
            config,
            pass.arena());
    pass.probe().observe(path, "attention", out);
  }

  @Override
  public void backward(Tensor gradient, boolean inputNeeded, Saved saved, Pass pass) {
    int t = pass.tokenCount();
    long start = pass.arena().mark();
    LinearGroup.Outputs projected = input.allocateOutputs(true, pass);
    Tensor dq = heads(projected.ys().get(0), heads.queries());
    Tensor dk = heads(projected.ys().get(1), heads.keys());
    Tensor dv = heads(projected.ys().get(2), heads.keys());
    attentionBackward(dq, dk, dv, gradient, saved, pass);
    rotate(dq, dk, true, pass);
    HeadNorms raw = saved.projected().heads();
    if (queryNorm != null && keyNorm != null && raw != null) {
      queryNorm.backward(dq, dq, null, raw.q(), raw.rstdQ(), pass);
      keyNorm.backward(dk, dk, null, raw.k(), raw.rstdK(), pass);
    }
    Tensor dnormed = inputNeeded || norm.isTrained() ? pass.activation(t, gradient.cols()) : null;
    if (dnormed != null || input.isTrained()) {
      input.backward(dnormed, projected, saved.projected().inputInner(), pass);
    }
    if (input.isTrained()) {
      input.weightGradients(projected, norm, saved.x(), saved.projected().rstd(), pass);
    }
    if (dnormed != null) {
      norm.backward(gradient, dnormed, gradient, saved.x(), saved.projected().rstd(), pass);
    }
    pass.arena().release(start);
  }

  private void attentionBackward(
      Tensor dq, Tensor dk, Tensor dv, Tensor gradient, Saved saved, Pass pass) {
    long mark = pass.arena().mark();
    Tensor dout = pass.activation(pass.tokenCount(), heads.queries(), heads.size());
    LinearGroup.Outputs dy = output.outputs(gradient, pass.gradientRoom());
    LinearGroup.Input out = saved.attended().out();
    output.backward(flat(dout), dy, out.inner(), pass);
    output.weightGradients(dy, out.x(), pass);
    pass.backend()
        .attention()
        .backward(
            dq,
            dk,
            dv,
            dout,
            saved.projected().q(),
            saved.projected().k(),
            saved.projected().v(),
            heads(out.x(), heads.queries()),
            saved.attended().logSumExp(),
            pass.tokens().sequences(),
            config,
            pass.arena());
    pass.arena().release(mark);
  }

  private static void rotate(Tensor q, Tensor k, boolean inverse, Pass pass) {
    Tokens tokens = pass.tokens();
    pass.backend().rope().apply(q, tokens.ropeRows(), tokens.cos(), tokens.sin(), inverse);
    pass.backend().rope().apply(k, tokens.ropeRows(), tokens.cos(), tokens.sin(), inverse);
  }

  /// `[T, count·D]` as `[T, count, D]`.
  private Tensor heads(Tensor tensor, int count) {
    return tensor.reshape(tensor.rows(), count, heads.size());
  }

  /// `[T, heads, D]` as `[T, heads·D]`.
  private static Tensor flat(Tensor tensor) {
    return tensor.reshape(tensor.rows(), tensor.cols());
  }
}
