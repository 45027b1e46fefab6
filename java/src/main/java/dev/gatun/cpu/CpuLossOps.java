package dev.gatun.cpu;

import dev.gatun.cpu.Gemm.Operand;
import dev.gatun.cpu.Gemm.Output;
import dev.gatun.cpu.kernel.Kernels;
import dev.gatun.op.LossOps;
import dev.gatun.op.LowRankTerm;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/// Output head and cross-entropy, a chunk of trained rows at a time: logits, losses, and in the
/// same place the logits' gradients.
final class CpuLossOps implements LossOps {
  private final Gemm gemm;
  private final Loops loops;
  private final Kernels kernels;

  CpuLossOps(Gemm gemm, Loops loops, Kernels kernels) {
    this.gemm = gemm;
    this.loops = loops;
    this.kernels = kernels;
  }

  /// The arguments of one call.
  private record Call(
      Outputs outputs,
      @Nullable Gradients gradients,
      Tensor hidden,
      Weight head,
      float @Nullable [] bias,
      @Nullable Update update,
      Ints rows,
      Ints labels,
      Config config) {}

  @Override
  public void linearCrossEntropy(
      Outputs outputs,
      @Nullable Gradients gradients,
      Tensor hidden,
      Weight head,
      @Nullable Tensor bias,
      @Nullable Update update,
      Targets targets,
      Config config,
      TensorArena scratch) {
    Call call =
        new Call(
            outputs,
            gradients,
            hidden,
            head,
            CpuMatmulOps.values(bias),
            update,
            Ints.of(targets.rows()),
            Ints.of(targets.labels()),
            config);
    if (gradients != null) {
      zeroRows(gradients.hidden());
      if (update != null) {
        zeroRows(Objects.requireNonNull(update.innerGradient(), "room for dz·B"));
      }
    }
    long mark = scratch.mark();
    long chunkRows = chunkRows(targets.count(), config);
    Tensor states = scratch.allocate(DType.F32, Shape.of(chunkRows, hidden.cols()));
    Tensor logits = scratch.allocate(DType.F32, Shape.of(chunkRows, head.out()));
    Tensor inner =
        update == null
            ? null
            : scratch.allocate(DType.F32, Shape.of(chunkRows, update.term().rank()));
    for (long first = 0; first < targets.count(); first += chunkRows) {
      long count = Math.min(chunkRows, targets.count() - first);
      chunk(
          call,
          first,
          states.rows(0, count),
          inner == null ? null : inner.rows(0, count),
          logits.rows(0, count));
    }
    scratch.release(mark);
  }

  private static long chunkRows(long rows, Config config) {
    return Math.max(1, Math.min(rows, config.chunkRows()));
  }

  @Override
  public long scratchBytes(long trainedRows, Weight head, int rank, Config config) {
    long rows = chunkRows(trainedRows, config);
    return TensorArena.sizeOf(DType.F32, Math.multiplyExact(rows, head.in()))
        + TensorArena.sizeOf(DType.F32, Math.multiplyExact(rows, head.out()))
        + (rank == 0 ? 0 : TensorArena.sizeOf(DType.F32, rows * rank));
  }

  private void chunk(Call call, long first, Tensor states, @Nullable Tensor inner, Tensor logits) {
    Rows gathered = new Rows(states);
    gather(call, call.hidden(), first, gathered);
    Rows z = new Rows(logits);
    gemm.run(
        new Output(z, null, call.bias()),
        new Operand(gathered, false),
        new Operand(RowSource.of(call.head()), true),
        1);
    Rows narrow = inner == null ? null : new Rows(inner);
    if (narrow != null && call.update() != null) {
      LowRankTerm term = call.update().term();
      gather(call, term.inner(), first, narrow);
      gemm.add(z, new Operand(narrow, false), new Operand(new Rows(term.b()), true), term.scale());
    }
    LossRow loss = new LossRow(kernels, call.outputs(), call.gradients(), call.config());
    int vocabulary = Math.toIntExact(call.head().out());
    loops.overRows(
        logits.rows(),
        4L * vocabulary,
        (workspace, row) -> {
          float[] values = workspace.floats(0, vocabulary);
          float[] exponentials = workspace.floats(1, vocabulary);
          z.read(row, 0, vocabulary, values, 0);
          int label = call.labels().at(first + row);
          if (label < 0 || label >= vocabulary) {
            throw new IndexOutOfBoundsException(
                "label " + label + " of a vocabulary of " + vocabulary);
          }
          loss.run(values, exponentials, vocabulary, first + row, label);
          z.write(row, 0, vocabulary, values, 0);
        });
    if (call.gradients() != null) {
      gradients(call, call.gradients(), first, gathered, logits);
      if (narrow != null && call.update() != null) {
        updateGradients(call, call.update(), first, narrow, z);
      }
    }
  }

  private void gather(Call call, Tensor source, long first, Rows states) {
    Rows hidden = new Rows(source);
    int n = Math.toIntExact(source.cols());
    loops.overRows(
        states.rows(),
        n,
        (workspace, row) -> {
          float[] values = workspace.floats(0, n);
          hidden.read(call.rows().at(first + row), 0, n, values, 0);
          states.write(row, 0, n, values, 0);
        });
  }

  /// @param logits their gradient by now
  private void gradients(Call call, Gradients gradients, long first, Rows states, Tensor logits) {
    Rows dlogits = new Rows(logits);
    if (gradients.head() != null) {
      gemm.add(
          new Rows(gradients.head()), new Operand(dlogits, true), new Operand(states, false), 1);
    }
    for (HeadRows rows : gradients.headRows()) {
      Rows part = new Rows(logits.columns(rows.first(), rows.gradient().rows()));
      gemm.add(new Rows(rows.gradient()), new Operand(part, true), new Operand(states, false), 1);
    }
    if (gradients.bias() != null) {
      loops.addColumnSums(gradients.bias(), dlogits);
    }
    // The states have done their duty: their place takes the gradient until it is scattered.
    gemm.replace(
        states, new Operand(dlogits, false), new Operand(RowSource.of(call.head()), false), 1);
    scatter(call, gradients.hidden(), first, states);
  }

  private void updateGradients(Call call, Update update, long first, Rows inner, Rows dlogits) {
    LowRankTerm term = update.term();
    if (update.b() != null) {
      gemm.add(
          new Rows(update.b()),
          new Operand(dlogits, true),
          new Operand(inner, false),
          term.scale());
    }
    gemm.replace(
        inner, new Operand(dlogits, false), new Operand(new Rows(term.b()), false), term.scale());
    scatter(call, Objects.requireNonNull(update.innerGradient()), first, inner);
  }

  private void scatter(Call call, Tensor gradient, long first, Rows states) {
    Rows target = new Rows(gradient);
    int n = Math.toIntExact(gradient.cols());
    loops.overRows(
        states.rows(),
        n,
        (workspace, row) -> {
          float[] values = workspace.floats(0, n);
          states.read(row, 0, n, values, 0);
          target.write(call.rows().at(first + row), 0, n, values, 0);
        });
  }

  private void zeroRows(Tensor tensor) {
    Rows target = new Rows(tensor);
    int n = Math.toIntExact(tensor.cols());
    float[] zeros = new float[n];
    loops.overRows(tensor.rows(), n, (_, row) -> target.write(row, 0, n, zeros, 0));
  }
}
