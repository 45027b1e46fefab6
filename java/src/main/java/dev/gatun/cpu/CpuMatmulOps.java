package dev.gatun.cpu;

import dev.gatun.cpu.Gemm.Operand;
import dev.gatun.cpu.Gemm.Output;
import dev.gatun.op.Accumulate;
import dev.gatun.op.Dropout;
import dev.gatun.op.LowRankTerm;
import dev.gatun.op.MatmulOps;
import dev.gatun.op.Projection;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/// Linear layers through [Gemm]; 4-bit weights are dequantised to F32 while they are packed.
final class CpuMatmulOps implements MatmulOps {
  private final Gemm gemm;
  private final Loops loops;
  private final CpuTensorOps tensors;

  CpuMatmulOps(Gemm gemm, Loops loops, CpuTensorOps tensors) {
    this.gemm = gemm;
    this.loops = loops;
    this.tensors = tensors;
  }

  @Override
  public void forward(
      List<Tensor> ys,
      List<@Nullable Tensor> loraInner,
      Tensor x,
      @Nullable Tensor residual,
      List<Projection> projections,
      TensorArena scratch) {
    if (residual != null && projections.size() != 1) {
      throw new IllegalArgumentException(
          "a residual goes to one projection, not " + projections.size());
    }
    Rows input = new Rows(x);
    for (int i = 0; i < projections.size(); i++) {
      Projection projection = projections.get(i);
      Rows y = new Rows(ys.get(i));
      gemm.run(
          new Output(y, residual == null ? null : new Rows(residual), values(projection.bias())),
          new Operand(input, false),
          new Operand(RowSource.of(projection.weight()), true),
          1);
      Projection.Lora lora = projection.lora();
      if (lora != null) {
        Rows inner = new Rows(Objects.requireNonNull(loraInner.get(i), "room for x·Aᵀ"));
        computeInner(inner, x, lora, scratch);
        gemm.add(y, new Operand(inner, false), new Operand(new Rows(lora.b()), true), lora.scale());
      }
    }
  }

  private void computeInner(Rows inner, Tensor x, Projection.Lora lora, TensorArena scratch) {
    long mark = scratch.mark();
    Rows dropped = new Rows(dropped(x, lora.dropout(), scratch));
    gemm.replace(inner, new Operand(dropped, false), new Operand(new Rows(lora.a()), true), 1);
    scratch.release(mark);
  }

  private Tensor dropped(Tensor x, @Nullable Dropout dropout, TensorArena scratch) {
    if (dropout == null || dropout.probability() == 0) {
      return x;
    }
    Tensor copy = scratch.allocate(DType.F32, Shape.of(x.rows(), x.cols()));
    tensors.dropout(copy, x, dropout);
    return copy;
  }

  @Override
  public void backward(
      @Nullable Tensor dx,
      Accumulate accumulate,
      List<Tensor> dys,
      List<@Nullable Tensor> loraInner,
      List<@Nullable Tensor> innerGradients,
      List<Projection> projections,
      List<Projection.Gradients> gradients,
      TensorArena scratch) {
    Accumulate mode = accumulate;
    for (int i = 0; i < projections.size(); i++) {
      Projection projection = projections.get(i);
      Rows dy = new Rows(dys.get(i));
      if (dx != null) {
        Rows target = new Rows(dx);
        gemm.run(
            new Output(target, mode == Accumulate.ADD ? target : null, null),
            new Operand(dy, false),
            new Operand(RowSource.of(projection.weight()), false),
            1);
        mode = Accumulate.ADD;
      }
      Projection.Gradients wanted = gradients.get(i);
      if (wanted.bias() != null) {
        loops.addColumnSums(wanted.bias(), dy);
      }
      Projection.Lora lora = projection.lora();
      if (lora == null) {
        continue;
      }
      if (wanted.b() != null) {
        Tensor inner = Objects.requireNonNull(loraInner.get(i), "what forward saved");
        gemm.add(
            new Rows(wanted.b()),
            new Operand(dy, true),
            new Operand(new Rows(inner), false),
            lora.scale());
      }
      Rows dInner = new Rows(Objects.requireNonNull(innerGradients.get(i), "room for dy·B"));
      gemm.replace(
          dInner, new Operand(dy, false), new Operand(new Rows(lora.b()), false), lora.scale());
      if (dx != null) {
        long mark = scratch.mark();
        addInputGradient(dx, dInner, lora, scratch);
        scratch.release(mark);
      }
    }
  }

  @Override
  public void weightGradients(
      List<Tensor> dys,
      List<@Nullable Tensor> innerGradients,
      Tensor x,
      List<Projection> projections,
      List<Projection.Gradients> gradients,
      TensorArena scratch) {
    for (int i = 0; i < projections.size(); i++) {
      Projection.Gradients wanted = gradients.get(i);
      if (wanted.weight() != null) {
        Operand dy = new Operand(new Rows(dys.get(i)), true);
        gemm.add(new Rows(wanted.weight()), dy, new Operand(new Rows(x), false), 1);
      }
      Projection.Lora lora = projections.get(i).lora();
      if (lora != null && wanted.a() != null) {
        long mark = scratch.mark();
        Tensor dInner = Objects.requireNonNull(innerGradients.get(i), "what backward left");
        Rows dropped = new Rows(dropped(x, lora.dropout(), scratch));
        gemm.add(
            new Rows(wanted.a()),
            new Operand(new Rows(dInner), true),
            new Operand(dropped, false),
            1);
        scratch.release(mark);
      }
    }
  }

  private void addInputGradient(Tensor dx, Rows dInner, Projection.Lora lora, TensorArena scratch) {
    Operand a = new Operand(new Rows(lora.a()), false);
    Dropout dropout = lora.dropout();
    if (dropout == null || dropout.probability() == 0) {
      gemm.add(new Rows(dx), new Operand(dInner, false), a, 1);
      return;
    }
    int cols = Math.toIntExact(dx.cols());
    Rows part = new Rows(scratch.allocate(DType.F32, Shape.of(dx.rows(), cols)));
    gemm.replace(part, new Operand(dInner, false), a, 1);
    DropoutMask mask = new DropoutMask(dropout);
    Rows target = new Rows(dx);
    loops.overRows(
        dx.rows(),
        cols,
        (workspace, row) -> {
          float[] values = workspace.floats(0, cols);
          float[] sum = workspace.floats(1, cols);
          part.read(row, 0, cols, values, 0);
          mask.apply(values, row * cols, cols);
          target.read(row, 0, cols, sum, 0);
          for (int j = 0; j < cols; j++) {
            sum[j] += values[j];
          }
          target.write(row, 0, cols, sum, 0);
        });
  }

  @Override
  public void logits(
      Tensor logits,
      Tensor x,
      Weight head,
      @Nullable Tensor bias,
      @Nullable LowRankTerm update,
      TensorArena scratch) {
    gemm.run(
        new Output(new Rows(logits), null, values(bias)),
        new Operand(new Rows(x), false),
        new Operand(RowSource.of(head), true),
        1);
    if (update != null) {
      gemm.add(
          new Rows(logits),
          new Operand(new Rows(update.inner()), false),
          new Operand(new Rows(update.b()), true),
          update.scale());
    }
  }

  @Override
  public long scratchBytes(long rows, List<Projection> projections) {
    long most = 0;
    for (Projection projection : projections) {
      Projection.Lora lora = projection.lora();
      if (lora != null && lora.dropout() != null) {
        long elements = Math.multiplyExact(rows, projection.weight().in());
        most = Math.max(most, TensorArena.sizeOf(DType.F32, elements));
      }
    }
    return most;
  }

  static float @Nullable [] values(@Nullable Tensor vector) {
    return vector == null ? null : vector.toFloats();
  }
}
