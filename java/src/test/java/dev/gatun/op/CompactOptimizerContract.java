package dev.gatun.op;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.Tolerances;
import dev.gatun.op.OptimizerOps.Blockwise;
import dev.gatun.op.OptimizerOps.SecondMoment;
import dev.gatun.quant.DynamicMap;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Optimisers with small state on any backend: 8-bit AdamW, Lion, Adafactor. An 8-bit update is
/// compared step by step, each from the state that the backend itself left.
public abstract class CompactOptimizerContract extends OpContract {
  private static final int STEPS = 4;

  private OptimizerOps ops() {
    return backend().optimizer();
  }

  private Blockwise blockwise(int count, float[] map) {
    Tensor codes = arena().allocate(DType.U8, Shape.of(count));
    backend().tensor().zero(codes);
    Tensor absmax = f32(new double[Math.ceilDiv(count, 256)], Math.ceilDiv(count, 256));
    Tensor device = arena().allocate(DType.F32, Shape.of(256));
    backend().upload(device, Tensor.ofFloats(Shape.of(256), map));
    return new Blockwise(codes, absmax, device);
  }

  private double[] decoded(Blockwise moment) {
    int[] codes = downloadInts(moment.codes());
    double[] absmax = download(moment.absmax());
    double[] map = download(moment.map());
    double[] values = new double[codes.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (map[codes[i]] * absmax[i / 256]);
    }
    return values;
  }

  private OptimizerOps.@Nullable Clip clip(double norm, float maxNorm) {
    return maxNorm == 0 ? null : new OptimizerOps.Clip(f32(new double[] {norm}, 1), maxNorm);
  }

  private static double coefficient(Precision p, double norm, float maxNorm) {
    return maxNorm == 0 ? 1 : Math.min(1, p.op(maxNorm / p.op(norm + 1e-6)));
  }

  /// Requires the largest value of each block as its scale, and the nearest code of each value.
  private void assertEncodes(String what, Blockwise moment, double[] values) {
    double[] scales = new double[Math.ceilDiv(values.length, 256)];
    for (int i = 0; i < values.length; i++) {
      scales[i / 256] = Math.max(scales[i / 256], Math.abs(values[i]));
    }
    assertClose(what + " scales", moment.absmax(), p -> rounded(p, scales));
    double[] map = download(moment.map());
    int[] codes = downloadInts(moment.codes());
    for (int i = 0; i < values.length; i++) {
      double scaled = scales[i / 256] == 0 ? 0 : values[i] / scales[i / 256];
      double nearest =
          Arrays.stream(map).map(entry -> Math.abs(entry - scaled)).min().orElseThrow();
      assertThat(Math.abs(map[codes[i]] - scaled))
          .as("%s: code %d of element %d, value %s of scale", what, codes[i], i, scaled)
          .isLessThanOrEqualTo(nearest + Tolerances.CODE_ROUNDING);
    }
  }

  private static double[] rounded(Precision p, double[] values) {
    return Arrays.stream(values).map(p::op).toArray();
  }

  @ParameterizedTest
  @CsvSource({"1, 0, 0", "255, 0.1, 0", "257, 0, 0.5", "4096, 0.01, 0", "40001, 0.01, 1"})
  void adamW8bit(int count, double decay, float maxNorm) {
    Tensor parameter = f32(values(count, 1), count);
    Blockwise m = blockwise(count, DynamicMap.signed());
    Blockwise v = blockwise(count, DynamicMap.unsigned());
    Tensor copy = spoiled(activationType(), count);
    for (int t = 1; t <= STEPS; t++) {
      double[] gradient = values(count, t == 2 ? 1e-3 : 1);
      double[] start = download(parameter);
      double[] m0 = decoded(m);
      double[] v0 = decoded(v);
      OptimizerOps.AdamW step = new OptimizerOps.AdamW(1e-2, 0.9, 0.999, 1e-8, decay, t);

      ops().adamW8bit(parameter, f32(gradient, count), m, v, copy, clip(2, maxNorm), step);

      String when = " after step " + t;
      assertClose(
          "parameter" + when,
          parameter,
          p -> adamW(p, start, m0, v0, scaled(p, gradient, maxNorm), step)[0]);
      double[][] exact =
          adamW(Precision.EXACT, start, m0, v0, scaled(Precision.EXACT, gradient, maxNorm), step);
      assertEncodes("m" + when, m, exact[1]);
      assertEncodes("v" + when, v, exact[2]);
    }
    assertCopied(copy, parameter, count);
  }

  private void assertCopied(Tensor copy, Tensor parameter, int count) {
    Tensor rounded = output(count);
    backend().tensor().copy(rounded, parameter);
    assertSame("compute copy", copy, rounded);
  }

  private static double[] scaled(Precision p, double[] gradient, float maxNorm) {
    double clip = coefficient(p, 2, maxNorm);
    return Arrays.stream(gradient).map(g -> p.op(g * clip)).toArray();
  }

  private static double[][] adamW(
      Precision p, double[] start, double[] m0, double[] v0, double[] g, OptimizerOps.AdamW step) {
    double[] w = new double[start.length];
    double[] m = new double[start.length];
    double[] v = new double[start.length];
    double size = step.learningRate() / (1 - Math.pow(step.beta1(), step.step()));
    double root = Math.sqrt(1 - Math.pow(step.beta2(), step.step()));
    for (int i = 0; i < w.length; i++) {
      m[i] = p.op(p.op(m0[i] * step.beta1()) + p.op((1 - step.beta1()) * g[i]));
      v[i] = p.op(p.op(v0[i] * step.beta2()) + p.op((1 - step.beta2()) * p.op(g[i] * g[i])));
      double denominator = p.op(p.op(p.op(Math.sqrt(v[i])) / root) + step.epsilon());
      double kept = p.op(start[i] * (1 - step.learningRate() * step.weightDecay()));
      w[i] = p.op(kept - p.op(size * p.op(m[i] / denominator)));
    }
    return new double[][] {w, m, v};
  }

  @ParameterizedTest
  @CsvSource({"1, 0, 0", "257, 0.1, 0", "40001, 0, 0.5"})
  void lion(int count, double decay, float maxNorm) {
    Tensor parameter = f32(values(count, 1), count);
    Tensor m = f32(new double[count], count);
    Tensor copy = spoiled(activationType(), count);
    OptimizerOps.Lion step = new OptimizerOps.Lion(1e-2, 0.9, 0.99, decay);
    for (int t = 1; t <= STEPS; t++) {
      double[] gradient = values(count, 1);
      double[] start = download(parameter);
      double[] m0 = download(m);

      ops().lion(parameter, f32(gradient, count), m, copy, clip(2, maxNorm), step);

      assertClose(
          "parameter", parameter, p -> lion(p, start, m0, scaled(p, gradient, maxNorm), step)[0]);
      assertClose("m", m, p -> lion(p, start, m0, scaled(p, gradient, maxNorm), step)[1]);
    }
    assertCopied(copy, parameter, count);
  }

  @ParameterizedTest
  @CsvSource({"1, 0, 0", "257, 0.1, 0", "40001, 0, 0.5"})
  void lion8bit(int count, double decay, float maxNorm) {
    Tensor parameter = f32(values(count, 1), count);
    Blockwise m = blockwise(count, DynamicMap.signed());
    Tensor copy = spoiled(activationType(), count);
    OptimizerOps.Lion step = new OptimizerOps.Lion(1e-2, 0.9, 0.99, decay);
    for (int t = 1; t <= STEPS; t++) {
      double[] gradient = values(count, 1);
      double[] start = download(parameter);
      double[] m0 = decoded(m);

      ops().lion8bit(parameter, f32(gradient, count), m, copy, clip(2, maxNorm), step);

      assertClose(
          "parameter", parameter, p -> lion(p, start, m0, scaled(p, gradient, maxNorm), step)[0]);
      Precision exact = Precision.EXACT;
      assertEncodes("m", m, lion(exact, start, m0, scaled(exact, gradient, maxNorm), step)[1]);
    }
    assertCopied(copy, parameter, count);
  }

  private static double[][] lion(
      Precision p, double[] start, double[] m0, double[] g, OptimizerOps.Lion step) {
    double[] w = new double[start.length];
    double[] m = new double[start.length];
    for (int i = 0; i < w.length; i++) {
      double direction = p.op(m0[i] * step.beta1()) + p.op((1 - step.beta1()) * g[i]);
      double kept = p.op(start[i] * (1 - step.learningRate() * step.weightDecay()));
      w[i] = p.op(kept - p.op(step.learningRate() * Math.signum(direction)));
      m[i] = p.op(p.op(m0[i] * step.beta2()) + p.op((1 - step.beta2()) * g[i]));
    }
    return new double[][] {w, m};
  }

  @Test
  void zerosStayZero() {
    int count = 600;
    Tensor parameter = f32(new double[count], count);
    Blockwise m = blockwise(count, DynamicMap.signed());
    Blockwise v = blockwise(count, DynamicMap.unsigned());
    double[] gradient = values(count, 1);
    Arrays.fill(gradient, 300, count, 0);
    OptimizerOps.AdamW step = new OptimizerOps.AdamW(1e-2, 0.9, 0.999, 1e-8, 0.1, 1);
    for (int t = 0; t < STEPS; t++) {
      ops().adamW8bit(parameter, f32(gradient, count), m, v, null, null, step);
    }

    double[] moved = download(parameter);
    assertThat(Arrays.copyOfRange(moved, 300, count)).containsOnly(0.0);
    assertThat(decoded(m)[299]).isNotZero();
    assertThat(Arrays.copyOfRange(decoded(m), 300, count)).containsOnly(0.0);
  }

  @Test
  void momentsTooSmallToDivideByVanish() {
    Tensor parameter = f32(new double[300], 300);
    Blockwise m = blockwise(300, DynamicMap.signed());
    double[] gradient = new double[300];
    gradient[7] = 0x1p-135;
    OptimizerOps.Lion step = new OptimizerOps.Lion(0, 0.9, 0.5, 0);

    ops().lion8bit(parameter, f32(gradient, 300), m, null, null, step);

    assertThat(decoded(m)).containsOnly(0.0);
    assertThat(download(parameter)).containsOnly(0.0);
  }

  @Test
  void aNaNGradientIsNotHidden() {
    double[] gradient = values(700, 1);
    gradient[300] = Double.NaN;
    Tensor adam = f32(values(700, 1), 700);
    Tensor lion = f32(values(700, 1), 700);
    Tensor lion8bit = f32(values(700, 1), 700);
    Tensor g = f32(gradient, 700);
    OptimizerOps.Lion step = new OptimizerOps.Lion(1e-2, 0.9, 0.99, 0);
    ops()
        .adamW8bit(
            adam,
            g,
            blockwise(700, DynamicMap.signed()),
            blockwise(700, DynamicMap.unsigned()),
            null,
            null,
            new OptimizerOps.AdamW(1e-2, 0.9, 0.999, 1e-8, 0, 1));
    ops().lion(lion, g, f32(new double[700], 700), null, null, step);
    ops().lion8bit(lion8bit, g, blockwise(700, DynamicMap.signed()), null, null, step);

    for (Tensor parameter : new Tensor[] {adam, lion, lion8bit}) {
      assertThat(download(parameter)[300]).isNaN();
    }
  }

  @ParameterizedTest
  @CsvSource({"1, 1, 0, 0", "3, 1500, 0.1, 0", "700, 33, 0, 0.5", "1100, 5, 0, 0", "0, 2500, 0, 1"})
  void adafactor(int rows, int cols, double decay, float maxNorm) {
    boolean matrix = rows > 0;
    int r = Math.max(rows, 1);
    int count = r * cols;
    long[] shape = matrix ? new long[] {rows, cols} : new long[] {cols};
    Tensor parameter = f32(values(count, 1), shape);
    Tensor copy = spoiled(activationType(), shape);
    Tensor rowState = f32(new double[r], r);
    Tensor columnState = f32(new double[cols], cols);
    SecondMoment state =
        matrix
            ? new SecondMoment.Factored(rowState, columnState)
            : new SecondMoment.Whole(columnState);
    for (int t = 1; t <= STEPS; t++) {
      double[] gradient = values(count, t == 3 ? 1e-2 : 1);
      double[] start = download(parameter);
      double[] r0 = download(rowState);
      double[] c0 = download(columnState);
      OptimizerOps.Adafactor step =
          new OptimizerOps.Adafactor(1e-2, 1 - Math.pow(t, -0.8), 1e-30, 1, decay);
      try (TensorArena scratch = scratch(ops().adafactorScratchBytes(r, cols))) {
        ops()
            .adafactor(
                parameter, f32(gradient, shape), state, copy, clip(2, maxNorm), step, scratch);
      }
      Factors before = new Factors(start, matrix ? r0 : null, c0);
      assertClose(
          "parameter after step " + t,
          parameter,
          p -> before.after(p, scaled(p, gradient, maxNorm), step).parameter());
      assertClose(
          "columns",
          columnState,
          p -> before.after(p, scaled(p, gradient, maxNorm), step).columns());
      if (matrix) {
        assertClose(
            "rows", rowState, p -> before.after(p, scaled(p, gradient, maxNorm), step).rows());
      }
    }
    assertCopied(copy.reshape(count), parameter.reshape(count), count);
  }

  /// Adafactor's parameter and state.
  private record Factors(double[] parameter, double @Nullable [] rows, double[] columns) {
    Factors after(Precision p, double[] g, OptimizerOps.Adafactor step) {
      int cols = columns.length;
      int count = g.length / cols;
      double[] r = rows == null ? null : rows.clone();
      double[] c = columns.clone();
      double[] u = new double[g.length];
      for (int row = 0; r != null && row < count; row++) {
        r[row] = average(p, g, row * cols, 1, cols, r[row], step);
      }
      for (int col = 0; col < cols; col++) {
        c[col] = average(p, g, col, cols, count, c[col], step);
      }
      double mean = r == null ? 1 : p.op(Arrays.stream(r).average().orElseThrow());
      double squares = 0;
      for (int i = 0; i < u.length; i++) {
        double row = r == null ? 1 : p.op(Math.sqrt(p.op(r[i / cols] / mean)));
        u[i] = p.op(p.op(g[i] / row) / p.op(Math.sqrt(c[i % cols])));
        squares += u[i] * u[i];
      }
      double size = step.learningRate() / Math.max(1, Math.sqrt(squares / u.length));
      double[] moved = new double[u.length];
      for (int i = 0; i < u.length; i++) {
        double kept = p.op(parameter[i] * (1 - step.learningRate() * step.weightDecay()));
        moved[i] = p.op(kept - p.op(size * u[i]));
      }
      return new Factors(moved, r, c);
    }

    private static double average(
        Precision p,
        double[] g,
        int from,
        int stride,
        int count,
        double old,
        OptimizerOps.Adafactor step) {
      double sum = 0;
      for (int i = 0; i < count; i++) {
        double value = g[from + i * stride];
        sum = p.op(sum + p.op(value * value));
      }
      double mean = p.op(p.op(sum / count) + step.epsilon());
      return p.op(p.op(old * step.decay()) + p.op((1 - step.decay()) * mean));
    }
  }

  @Test
  void anUpdateIsTheSameTwice() {
    double[] start = values(9000, 1);
    double[] gradient = values(9000, 1);

    assertSame("adafactor", adafactorOnce(start, gradient), adafactorOnce(start, gradient));
    assertSame("adamW8bit", adamOnce(start, gradient), adamOnce(start, gradient));
  }

  private Tensor adafactorOnce(double[] start, double[] gradient) {
    Tensor parameter = f32(start, 300, 30);
    SecondMoment state =
        new SecondMoment.Factored(f32(new double[300], 300), f32(new double[30], 30));
    try (TensorArena scratch = scratch(ops().adafactorScratchBytes(300, 30))) {
      ops()
          .adafactor(
              parameter,
              f32(gradient, 300, 30),
              state,
              null,
              null,
              new OptimizerOps.Adafactor(1e-2, 0, 1e-30, 1, 0),
              scratch);
      return parameter.reshape(9000);
    }
  }

  private Tensor adamOnce(double[] start, double[] gradient) {
    Tensor parameter = f32(start, 9000);
    Blockwise m = blockwise(9000, DynamicMap.signed());
    Blockwise v = blockwise(9000, DynamicMap.unsigned());
    for (int t = 1; t <= STEPS; t++) {
      OptimizerOps.AdamW step = new OptimizerOps.AdamW(1e-2, 0.9, 0.999, 1e-8, 0, t);
      ops().adamW8bit(parameter, f32(gradient, 9000), m, v, null, null, step);
    }
    return parameter;
  }
}
