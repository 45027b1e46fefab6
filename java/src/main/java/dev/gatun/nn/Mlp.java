package dev.gatun.nn;

import dev.gatun.op.GatedUpdates;
import dev.gatun.op.MlpOps;
import dev.gatun.tensor.Tensor;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The second half of a decoder layer: `y = x + down(act(gate(n))·up(n))` with `n = norm(x)`.
final class Mlp implements Layer<Mlp.Saved> {
  /// @param x input
  /// @param outputInner of down, filled with the output: what only a whole forward pass knows
  record Saved(Tensor x, Expanded expanded, LinearGroup.Inner outputInner) {
    Tensor gate() {
      return expanded.gateAndUp().ys().get(0);
    }

    Tensor up() {
      return expanded.gateAndUp().ys().get(1);
    }
  }

  /// What lies between input and output.
  ///
  /// @param gateAndUp before the activation, `[T, F]` each; their gradients take their place
  record Expanded(Tensor rstd, LinearGroup.Outputs gateAndUp, LinearGroup.Inner inputInner) {}

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

  /// Columns that products want behind the gradient of this half.
  long gradientRoom() {
    return output.ranks();
  }

  @Override
  public boolean isTrained() {
    return norm.isTrained() || input.isTrained() || output.isTrained();
  }

  /// Room for what only a whole forward pass knows and backward needs.
  LinearGroup.Inner allocateInner(Pass pass) {
    return output.allocateInner(pass);
  }

  Expanded allocateExpanded(Pass pass) {
    return new Expanded(
        pass.floats(pass.tokenCount()),
        input.allocateOutputs(pass.training(), pass),
        input.allocateInner(pass));
  }

  @Override
  public void forward(@Nullable Tensor y, Saved saved, Pass pass) {
    Expanded expanded = saved.expanded();
    long mark = pass.arena().mark();
    LinearGroup.Input normed = input.allocateInput(pass);
    norm.forward(normed.x(), expanded.rstd(), saved.x(), pass);
    input.forward(expanded.gateAndUp().ys(), normed, null, pass);
    input.keep(expanded.inputInner(), normed.inner(), pass);
    pass.arena().release(mark);
    pass.probe().observe(path, "gate", saved.gate());
    pass.probe().observe(path, "up", saved.up());
    if (y != null) {
      LinearGroup.Input h = output.allocateInput(pass);
      pass.backend().mlp().forward(h.x(), saved.gate(), saved.up(), activation);
      output.forward(List.of(y), h, saved.x(), pass);
      output.keep(saved.outputInner(), h.inner(), pass);
      pass.probe().observe(path, "output", y);
      pass.arena().release(mark);
    }
  }

  /// The gradient of `h` and then `h` itself share one buffer: down's gradients that need no input
  /// come first, those that do after it. Where the backend can, the activation and all narrow
  /// products around it are one pass that never makes `h`.
  @Override
  public void backward(Tensor gradient, boolean inputNeeded, Saved saved, Pass pass) {
    int t = pass.tokenCount();
    Expanded expanded = saved.expanded();
    long start = pass.arena().mark();
    Tensor h = pass.activation(t, saved.gate().cols());
    LinearGroup.Outputs dy = output.outputs(gradient, pass.gradientRoom());
    output.backward(h, dy, saved.outputInner(), pass);
    boolean together = backwardWithUpdates(h, dy, expanded, pass);
    if (!together) {
      pass.backend()
          .mlp()
          .backward(saved.gate(), saved.up(), h, h, saved.gate(), saved.up(), activation);
      if (output.isTrained()) {
        output.weightGradients(dy, h, pass);
      }
    }
    pass.arena().release(start);

    Tensor dnormed = inputNeeded || norm.isTrained() ? pass.activation(t, gradient.cols()) : null;
    if (!together && (dnormed != null || input.isTrained())) {
      input.backward(dnormed, expanded.gateAndUp(), expanded.inputInner(), pass);
    } else if (together && dnormed != null) {
      input.inputGradient(dnormed, expanded.gateAndUp(), pass);
    }
    if (input.isTrained()) {
      input.weightGradients(expanded.gateAndUp(), norm, saved.x(), expanded.rstd(), pass);
    }
    if (dnormed != null) {
      norm.backward(gradient, dnormed, gradient, saved.x(), expanded.rstd(), pass);
    }
    pass.arena().release(start);
  }

  private boolean backwardWithUpdates(
      Tensor dh, LinearGroup.Outputs dy, Expanded expanded, Pass pass) {
    LinearGroup.Outputs gateAndUp = expanded.gateAndUp();
    GatedUpdates.Side gate = input.gatedSide(0, expanded.inputInner(), gateAndUp.inner());
    GatedUpdates.Side up = input.gatedSide(1, expanded.inputInner(), gateAndUp.inner());
    Tensor downInnerGradient = dy.inner().parts().getFirst();
    Tensor downA = output.plainGradientOfA(0);
    if (gate == null || up == null || downInnerGradient == null || downA == null) {
      return false;
    }
    return pass.backend()
        .mlp()
        .backwardWithUpdates(
            gateAndUp.ys().get(0),
            gateAndUp.ys().get(1),
            dh,
            activation,
            new GatedUpdates(gate, up, downInnerGradient, downA),
            pass.arena());
  }
}
