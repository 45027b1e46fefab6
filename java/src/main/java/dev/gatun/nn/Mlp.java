package dev.gatun.nn;

import dev.gatun.op.MlpOps;
import dev.gatun.tensor.Tensor;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The second half of a decoder layer: `y = x + down(act(gate(n))·up(n))` with `n = norm(x)`.
final class Mlp implements Layer<Mlp.Saved> {
  /// @param gate before the activation, `[T, F]`
  /// @param up `[T, F]`
  record Saved(Tensor x, Tensor rstd, Tensor gate, Tensor up, List<@Nullable Tensor> inputInner) {}

  private final String path;
  private final RmsNorm norm;
  private final LinearGroup input;
  private final LinearGroup output;
  private final MlpOps.Activation activation;

  /// @param index of the decoder layer
  /// @param input gate and up
  /// @param output down
  Mlp(
      int index,
      RmsNorm norm,
      LinearGroup input,
      LinearGroup output,
      MlpOps.Activation activation) {
    this.path = ModuleTree.layer(index) + ".mlp";
    this.norm = norm;
    this.input = input;
    this.output = output;
    this.activation = activation;
  }

  @Override
  public boolean isTrained() {
    return norm.isTrained() || input.isTrained() || output.isTrained();
  }

  @Override
  public Saved forward(@Nullable Tensor y, Tensor x, Pass pass) {
    int t = pass.tokenCount();
    Saved saved =
        new Saved(
            x,
            pass.floats(t),
            pass.activation(t, input.out(0)),
            pass.activation(t, input.out(1)),
            input.allocateInner(pass));
    long mark = pass.arena().mark();
    Tensor normed = pass.activation(t, x.cols());
    norm.forward(normed, saved.rstd(), x, pass);
    List<Tensor> ys = List.of(saved.gate(), saved.up());
    input.forward(ys, saved.inputInner(), normed, null, pass);
    pass.arena().release(mark);
    pass.probe().observe(path, "gate", saved.gate());
    pass.probe().observe(path, "up", saved.up());
    if (y != null) {
      Tensor h = pass.training() ? pass.activation(t, input.out(0)) : saved.gate();
      pass.backend().mlp().forward(h, saved.gate(), saved.up(), activation);
      output.forward(List.of(y), output.nothingKept(), h, x, pass);
      pass.probe().observe(path, "output", y);
      pass.arena().release(mark);
    }
    return saved;
  }

  /// The gradient of `h` and then `h` itself share one buffer: down's input gradient comes first,
  /// its parameter gradients, which read `h`, after it.
  @Override
  public void backward(Tensor gradient, boolean inputNeeded, Saved saved, Pass pass) {
    int t = pass.tokenCount();
    long start = pass.arena().mark();
    Tensor h = pass.activation(t, input.out(0));
    output.inputGradient(h, List.of(gradient), saved.gate(), pass);
    pass.backend()
        .mlp()
        .backward(saved.gate(), saved.up(), h, h, saved.gate(), saved.up(), activation);
    if (output.isTrained()) {
      List<@Nullable Tensor> inner = output.allocateInner(pass);
      output.inner(inner, h, pass);
      output.backward(null, List.of(gradient), h, inner, pass);
    }
    pass.arena().release(start);

    Tensor dnormed = inputNeeded || norm.isTrained() ? pass.activation(t, gradient.cols()) : null;
    Tensor normed = saved.x();
    if (input.isTrained()) {
      normed = pass.activation(t, gradient.cols());
      norm.forward(normed, null, saved.x(), pass);
    }
    if (dnormed != null || input.isTrained()) {
      List<Tensor> dys = List.of(saved.gate(), saved.up());
      input.backward(dnormed, dys, normed, saved.inputInner(), pass);
    }
    if (dnormed != null) {
      norm.backward(gradient, dnormed, gradient, saved.x(), saved.rstd(), pass);
    }
    pass.arena().release(start);
  }
}
