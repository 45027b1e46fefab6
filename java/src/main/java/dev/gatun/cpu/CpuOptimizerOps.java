package dev.gatun.cpu;

import dev.gatun.op.OptimizerOps;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Parameter updates in PyTorch's order of F32 operations, scalars in double first. Needs no
/// scratch.
final class CpuOptimizerOps implements OptimizerOps {
  private final Loops loops;
  private final MomentUpdates moments;
  private final AdafactorUpdate adafactor;

  CpuOptimizerOps(Loops loops) {
    this.loops = loops;
    moments = new MomentUpdates(loops);
    adafactor = new AdafactorUpdate(loops);
  }

  @Override
  public void globalNorm(Tensor norm, List<Tensor> gradients, TensorArena scratch) {
    double sum = 0;
    for (Tensor gradient : gradients) {
      Rows values = flat(gradient);
      double[] partial = new double[Loops.rangeCount(gradient.count())];
      loops.overRanges(
          gradient.count(),
          (workspace, from, count) -> {
            float[] buffer = workspace.floats(0, count);
            values.read(0, from, count, buffer, 0);
            double squares = 0;
            for (int i = 0; i < count; i++) {
              squares += (double) buffer[i] * buffer[i];
            }
            partial[Loops.rangeIndex(from)] = squares;
          });
      for (double squares : partial) {
        sum += squares;
      }
    }
    Floats.of(norm).set(0, (float) Math.sqrt(sum));
  }

  @Override
  public long scratchBytes(long count, int tensors) {
    return 0;
  }

  static Rows flat(Tensor tensor) {
    if (tensor.dtype() != DType.F32) {
      throw new UnsupportedOperationException("optimiser state is F32, not " + tensor.dtype());
    }
    return new Rows(tensor.reshape(1, tensor.count()));
  }

  static float coefficient(@Nullable Clip clip) {
    if (clip == null) {
      return 1;
    }
    float coefficient = clip.maxNorm() / (Floats.of(clip.norm()).at(0) + 1e-6f);
    // Not Math.min alone: a NaN norm must reach the parameters, where it is found.
    return coefficient >= 1 ? 1 : coefficient;
  }

  @Override
  public void adamW(
      Tensor parameter,
      Tensor gradient,
      Tensor m,
      Tensor v,
      @Nullable Tensor computeCopy,
      @Nullable Clip clip,
      AdamW step) {
    Rows parameters = flat(parameter);
    Rows gradients = flat(gradient);
    Rows first = flat(m);
    Rows second = flat(v);
    Rows copy = computeCopy == null ? null : new Rows(computeCopy.reshape(1, parameter.count()));
    AdamFactors factors = AdamFactors.of(step, coefficient(clip));
    loops.overRanges(
        parameter.count(),
        (workspace, from, count) -> {
          float[] p = workspace.floats(0, count);
          float[] g = workspace.floats(1, count);
          float[] m1 = workspace.floats(2, count);
          float[] m2 = workspace.floats(3, count);
          parameters.read(0, from, count, p, 0);
          gradients.read(0, from, count, g, 0);
          first.read(0, from, count, m1, 0);
          second.read(0, from, count, m2, 0);
          update(p, g, m1, m2, count, factors);
          parameters.write(0, from, count, p, 0);
          first.write(0, from, count, m1, 0);
          second.write(0, from, count, m2, 0);
          if (copy != null) {
            copy.write(0, from, count, p, 0);
          }
        });
  }

  /// The scalars of one AdamW step, each rounded once.
  private record AdamFactors(
      float clip,
      float decay,
      float firstRate,
      float beta2,
      float secondRate,
      float correction2,
      float epsilon,
      float stepSize) {
    static AdamFactors of(AdamW step, float clip) {
      double correction1 = 1 - Math.pow(step.beta1(), (double) step.step());
      double correction2 = 1 - Math.pow(step.beta2(), (double) step.step());
      return new AdamFactors(
          clip,
          (float) (1 - step.learningRate() * step.weightDecay()),
          (float) (1 - step.beta1()),
          (float) step.beta2(),
          (float) (1 - step.beta2()),
          (float) Math.sqrt(correction2),
          (float) step.epsilon(),
          (float) (step.learningRate() / correction1));
    }
  }

  private static void update(float[] p, float[] g, float[] m, float[] v, int count, AdamFactors f) {
    for (int i = 0; i < count; i++) {
      float gradient = g[i] * f.clip();
      m[i] += f.firstRate() * (gradient - m[i]);
      v[i] = v[i] * f.beta2() + f.secondRate() * gradient * gradient;
      float denominator = (float) Math.sqrt(v[i]) / f.correction2() + f.epsilon();
      p[i] = p[i] * f.decay() - f.stepSize() * m[i] / denominator;
    }
  }

  @Override
  public void sgd(
      Tensor parameter,
      Tensor gradient,
      @Nullable Tensor momentum,
      @Nullable Tensor computeCopy,
      @Nullable Clip clip,
      Sgd step) {
    Rows parameters = flat(parameter);
    Rows gradients = flat(gradient);
    Rows buffers = momentum == null ? null : flat(momentum);
    Rows copy = computeCopy == null ? null : new Rows(computeCopy.reshape(1, parameter.count()));
    float scale = coefficient(clip);
    float rate = (float) step.learningRate();
    float decay = (float) step.weightDecay();
    loops.overRanges(
        parameter.count(),
        (workspace, from, count) -> {
          float[] p = workspace.floats(0, count);
          float[] g = workspace.floats(1, count);
          parameters.read(0, from, count, p, 0);
          gradients.read(0, from, count, g, 0);
          for (int i = 0; i < count; i++) {
            g[i] = g[i] * scale + decay * p[i];
          }
          if (buffers != null) {
            accumulate(g, buffers, from, count, step, workspace);
          }
          for (int i = 0; i < count; i++) {
            p[i] -= rate * g[i];
          }
          parameters.write(0, from, count, p, 0);
          if (copy != null) {
            copy.write(0, from, count, p, 0);
          }
        });
  }

  // g = buffer = first ? g : μ·buffer + g.
  private static void accumulate(
      float[] g, Rows buffers, long from, int count, Sgd step, Workspace workspace) {
    if (!step.first()) {
      float[] buffer = workspace.floats(2, count);
      float momentum = (float) step.momentum();
      buffers.read(0, from, count, buffer, 0);
      for (int i = 0; i < count; i++) {
        g[i] += momentum * buffer[i];
      }
    }
    buffers.write(0, from, count, g, 0);
  }

  @Override
  public void adamW8bit(
      Tensor parameter,
      Tensor gradient,
      Blockwise m,
      Blockwise v,
      @Nullable Tensor computeCopy,
      @Nullable Clip clip,
      AdamW step) {
    moments.adamW8bit(new MomentUpdates.Target(parameter, gradient, computeCopy, clip), m, v, step);
  }

  @Override
  public void lion(
      Tensor parameter,
      Tensor gradient,
      Tensor m,
      @Nullable Tensor computeCopy,
      @Nullable Clip clip,
      Lion step) {
    moments.lion(new MomentUpdates.Target(parameter, gradient, computeCopy, clip), m, step);
  }

  @Override
  public void lion8bit(
      Tensor parameter,
      Tensor gradient,
      Blockwise m,
      @Nullable Tensor computeCopy,
      @Nullable Clip clip,
      Lion step) {
    moments.lion8bit(new MomentUpdates.Target(parameter, gradient, computeCopy, clip), m, step);
  }

  @Override
  public void adafactor(
      Tensor parameter,
      Tensor gradient,
      SecondMoment state,
      @Nullable Tensor computeCopy,
      @Nullable Clip clip,
      Adafactor step,
      TensorArena scratch) {
    adafactor.run(new MomentUpdates.Target(parameter, gradient, computeCopy, clip), state, step);
  }

  @Override
  public long adafactorScratchBytes(long rows, long cols) {
    return 0;
  }
}
