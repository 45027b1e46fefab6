package dev.gatun.cpu;

import dev.gatun.op.OptimizerOps.AdamW;
import dev.gatun.op.OptimizerOps.Blockwise;
import dev.gatun.op.OptimizerOps.Clip;
import dev.gatun.op.OptimizerOps.Lion;
import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// Updates in bitsandbytes' order of F32 operations, scalars in double first.
final class MomentUpdates {
  private static final int PARAMETER = 0;
  private static final int GRADIENT = 1;
  private static final int FIRST = 2;
  private static final int SECOND = 3;

  private final Loops loops;

  MomentUpdates(Loops loops) {
    this.loops = loops;
  }

  /// What an update moves, and what moves it.
  record Target(
      Tensor parameter, Tensor gradient, @Nullable Tensor computeCopy, @Nullable Clip clip) {
    Open open() {
      return new Open(
          CpuOptimizerOps.flat(parameter),
          CpuOptimizerOps.flat(gradient),
          computeCopy == null ? null : new Rows(computeCopy.reshape(1, parameter.count())),
          CpuOptimizerOps.coefficient(clip));
    }
  }

  /// A target as flat rows.
  record Open(Rows parameters, Rows gradients, @Nullable Rows copy, float clip) {
    float[] readParameters(Workspace workspace, long from, int count) {
      float[] p = workspace.floats(PARAMETER, count);
      parameters.read(0, from, count, p, 0);
      return p;
    }

    float[] readGradients(Workspace workspace, long from, int count) {
      float[] g = workspace.floats(GRADIENT, count);
      gradients.read(0, from, count, g, 0);
      for (int i = 0; i < count; i++) {
        g[i] *= clip;
      }
      return g;
    }

    void write(float[] p, long from, int count) {
      parameters.write(0, from, count, p, 0);
      if (copy != null) {
        copy.write(0, from, count, p, 0);
      }
    }
  }

  void adamW8bit(Target target, Blockwise m, Blockwise v, AdamW step) {
    Open open = target.open();
    BlockwiseRange first = new BlockwiseRange(m);
    BlockwiseRange second = new BlockwiseRange(v);
    double correction1 = 1 - Math.pow(step.beta1(), (double) step.step());
    double correction2 = Math.sqrt(1 - Math.pow(step.beta2(), (double) step.step()));
    float decay = (float) (1 - step.learningRate() * step.weightDecay());
    float beta1 = (float) step.beta1();
    float rate1 = (float) (1 - step.beta1());
    float beta2 = (float) step.beta2();
    float rate2 = (float) (1 - step.beta2());
    float root2 = (float) correction2;
    float epsilon = (float) step.epsilon();
    float size = (float) (step.learningRate() / correction1);
    loops.overRanges(
        target.parameter().count(),
        (workspace, from, count) -> {
          float[] p = open.readParameters(workspace, from, count);
          float[] g = open.readGradients(workspace, from, count);
          float[] m1 = workspace.floats(FIRST, count);
          float[] m2 = workspace.floats(SECOND, count);
          first.read(from, count, m1, workspace);
          second.read(from, count, m2, workspace);
          for (int i = 0; i < count; i++) {
            m1[i] = m1[i] * beta1 + rate1 * g[i];
            m2[i] = m2[i] * beta2 + rate2 * g[i] * g[i];
            float denominator = (float) Math.sqrt(m2[i]) / root2 + epsilon;
            p[i] = p[i] * decay - size * (m1[i] / denominator);
          }
          open.write(p, from, count);
          first.write(from, count, m1, workspace);
          second.write(from, count, m2, workspace);
        });
  }

  void lion(Target target, Tensor m, Lion step) {
    Open open = target.open();
    Rows moment = CpuOptimizerOps.flat(m);
    LionFactors factors = LionFactors.of(step);
    loops.overRanges(
        target.parameter().count(),
        (workspace, from, count) -> {
          float[] p = open.readParameters(workspace, from, count);
          float[] g = open.readGradients(workspace, from, count);
          float[] m1 = workspace.floats(FIRST, count);
          moment.read(0, from, count, m1, 0);
          factors.update(p, g, m1, count);
          open.write(p, from, count);
          moment.write(0, from, count, m1, 0);
        });
  }

  void lion8bit(Target target, Blockwise m, Lion step) {
    Open open = target.open();
    BlockwiseRange moment = new BlockwiseRange(m);
    LionFactors factors = LionFactors.of(step);
    loops.overRanges(
        target.parameter().count(),
        (workspace, from, count) -> {
          float[] p = open.readParameters(workspace, from, count);
          float[] g = open.readGradients(workspace, from, count);
          float[] m1 = workspace.floats(FIRST, count);
          moment.read(from, count, m1, workspace);
          factors.update(p, g, m1, count);
          open.write(p, from, count);
          moment.write(from, count, m1, workspace);
        });
  }

  /// The scalars of one Lion step, each rounded once.
  private record LionFactors(
      float decay, float rate, float beta1, float rate1, float beta2, float rate2) {
    static LionFactors of(Lion step) {
      return new LionFactors(
          (float) (1 - step.learningRate() * step.weightDecay()),
          (float) step.learningRate(),
          (float) step.beta1(),
          (float) (1 - step.beta1()),
          (float) step.beta2(),
          (float) (1 - step.beta2()));
    }

    void update(float[] p, float[] g, float[] m, int count) {
      for (int i = 0; i < count; i++) {
        p[i] = p[i] * decay - rate * Math.signum(m[i] * beta1 + rate1 * g[i]);
        m[i] = m[i] * beta2 + rate2 * g[i];
      }
    }
  }
}
