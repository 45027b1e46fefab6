package dev.gatun.op;

import dev.gatun.op.MlpOps.Activation;
import dev.gatun.tensor.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// Gated activations on any backend.
public abstract class MlpOpsContract extends OpContract {
  private static final int ROWS = 5;
  private static final int N = 67;

  private static double[] forward(Precision p, Activation f, double[] gate, double[] up) {
    double[] h = new double[gate.length];
    for (int i = 0; i < h.length; i++) {
      h[i] = p.op(p.op(Oracle.activation(f, gate[i])) * up[i]);
    }
    return h;
  }

  private static double[] gateGradient(
      Precision p, Activation f, double[] dh, double[] gate, double[] up) {
    double[] dgate = new double[gate.length];
    for (int i = 0; i < dgate.length; i++) {
      dgate[i] = p.op(p.op(dh[i] * up[i]) * p.op(Oracle.activationSlope(f, gate[i])));
    }
    return dgate;
  }

  @ParameterizedTest
  @EnumSource
  void forwardAndBackward(Activation f) {
    double[] gate = values(ROWS * N, 3);
    double[] up = values(ROWS * N, 1);
    double[] dh = values(ROWS * N, 1);
    Tensor gates = strided(gate, ROWS, N);
    Tensor ups = strided(up, ROWS, N);
    Tensor h = output(ROWS, N);
    Tensor again = output(ROWS, N);
    Tensor dgate = output(ROWS, N);
    Tensor dup = output(ROWS, N);

    backend().mlp().forward(h, gates, ups, f);
    backend().mlp().backward(dgate, dup, again, activation(dh, ROWS, N), gates, ups, f);

    assertClose("h", h, p -> forward(p, f, gate, up));
    assertClose("h again", again, p -> forward(p, f, gate, up));
    assertClose("dgate", dgate, p -> gateGradient(p, f, dh, gate, up));
    assertClose("dup", dup, p -> forward(p, f, gate, dh));
  }

  @ParameterizedTest
  @EnumSource
  void outputsMayBeInputs(Activation f) {
    double[] gate = values(ROWS * N, 3);
    double[] up = values(ROWS * N, 1);
    double[] dh = values(ROWS * N, 1);
    Tensor gates = activation(gate, ROWS, N);
    Tensor ups = activation(up, ROWS, N);
    Tensor upstream = activation(dh, ROWS, N);
    Tensor forward = activation(gate, ROWS, N);

    backend().mlp().forward(forward, forward, ups, f);
    backend().mlp().backward(gates, ups, upstream, upstream, gates, ups, f);

    assertClose("h over gate", forward, p -> forward(p, f, gate, up));
    assertClose("h over dh", upstream, p -> forward(p, f, gate, up));
    assertClose("dgate over gate", gates, p -> gateGradient(p, f, dh, gate, up));
    assertClose("dup over up", ups, p -> forward(p, f, gate, dh));
  }

  @Test
  void extremeGatesSaturate() {
    double[] gate = {-1000, -100, -88, 0, 88, 100, 1000};
    double[] up = {1, 1, 1, 1, 1, 1, 1};
    Tensor h = output(1, 7);

    backend().mlp().forward(h, activation(gate, 1, 7), activation(up, 1, 7), Activation.SILU);

    assertClose("h", h, p -> forward(p, Activation.SILU, gate, up));
  }
}
