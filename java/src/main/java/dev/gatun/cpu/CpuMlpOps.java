package dev.gatun.cpu;

import dev.gatun.cpu.kernel.Kernels;
import dev.gatun.op.MlpOps;
import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// Gated activations, row by row.
final class CpuMlpOps implements MlpOps {
  private static final double SQRT_2_OVER_PI = Math.sqrt(2 / Math.PI);
  private static final double CUBIC = 0.044715;

  private final Loops loops;
  private final Kernels kernels;

  CpuMlpOps(Loops loops, Kernels kernels) {
    this.loops = loops;
    this.kernels = kernels;
  }

  @Override
  public void forward(Tensor h, Tensor gate, Tensor up, Activation activation) {
    Rows target = new Rows(h);
    Rows gates = new Rows(gate);
    Rows ups = new Rows(up);
    int n = Math.toIntExact(gate.cols());
    loops.overRows(
        gate.rows(),
        4L * n,
        (workspace, row) -> {
          float[] g = workspace.floats(0, n);
          float[] u = workspace.floats(1, n);
          gates.read(row, 0, n, g, 0);
          ups.read(row, 0, n, u, 0);
          switch (activation) {
            case SILU -> kernels.silu(g, g, u, n);
            case GELU_TANH, GELU -> {
              for (int j = 0; j < n; j++) {
                g[j] = (float) (value(activation, g[j]) * u[j]);
              }
            }
          }
          target.write(row, 0, n, g, 0);
        });
  }

  @Override
  public void backward(
      Tensor dgate,
      Tensor dup,
      @Nullable Tensor h,
      Tensor dh,
      Tensor gate,
      Tensor up,
      Activation activation) {
    Rows gateGradients = new Rows(dgate);
    Rows upGradients = new Rows(dup);
    Rows again = h == null ? null : new Rows(h);
    Rows upstream = new Rows(dh);
    Rows gates = new Rows(gate);
    Rows ups = new Rows(up);
    int n = Math.toIntExact(gate.cols());
    loops.overRows(
        gate.rows(),
        8L * n,
        (workspace, row) -> {
          float[] g = workspace.floats(0, n);
          float[] u = workspace.floats(1, n);
          float[] d = workspace.floats(2, n);
          gates.read(row, 0, n, g, 0);
          ups.read(row, 0, n, u, 0);
          upstream.read(row, 0, n, d, 0);
          // All of a row is read before any of it is written: outputs may be inputs.
          Kernels.SiluGradients outputs =
              new Kernels.SiluGradients(
                  workspace.floats(3, n), workspace.floats(4, n), workspace.floats(5, n));
          switch (activation) {
            case SILU -> kernels.siluBackward(outputs, d, g, u, n);
            case GELU_TANH, GELU -> geluBackward(outputs, d, g, u, n, activation);
          }
          gateGradients.write(row, 0, n, outputs.dgate(), 0);
          upGradients.write(row, 0, n, outputs.dup(), 0);
          if (again != null) {
            again.write(row, 0, n, outputs.h(), 0);
          }
        });
  }

  private static void geluBackward(
      Kernels.SiluGradients outputs,
      float[] dh,
      float[] gate,
      float[] up,
      int n,
      Activation activation) {
    for (int j = 0; j < n; j++) {
      double act = value(activation, gate[j]);
      outputs.dgate()[j] = (float) (dh[j] * (double) up[j] * slope(activation, gate[j]));
      outputs.dup()[j] = (float) (dh[j] * act);
      outputs.h()[j] = (float) (act * up[j]);
    }
  }

  private static double value(Activation activation, double x) {
    return switch (activation) {
      case SILU -> x / (1 + Math.exp(-x));
      case GELU_TANH -> 0.5 * x * (1 + Math.tanh(SQRT_2_OVER_PI * (x + CUBIC * x * x * x)));
      case GELU -> 0.5 * x * (1 + Erf.erf(x / Math.sqrt(2)));
    };
  }

  private static double slope(Activation activation, double x) {
    return switch (activation) {
      case SILU -> {
        double sigmoid = 1 / (1 + Math.exp(-x));
        yield sigmoid * (1 + x * (1 - sigmoid));
      }
      case GELU_TANH -> {
        double t = Math.tanh(SQRT_2_OVER_PI * (x + CUBIC * x * x * x));
        yield 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * SQRT_2_OVER_PI * (1 + 3 * CUBIC * x * x);
      }
      case GELU ->
          0.5 * (1 + Erf.erf(x / Math.sqrt(2)))
              + x * Math.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI);
    };
  }
}
