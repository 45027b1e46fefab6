package dev.gatun.nn;

import dev.gatun.op.Accumulate;
import dev.gatun.op.Backend;
import dev.gatun.op.Dropout;
import dev.gatun.op.LossOps;
import dev.gatun.op.LowRankTerm;
import dev.gatun.op.Projection;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.Tensor;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The low-rank update of the output head: `logits += s·(dropout(x)·Aᵀ)·Bᵀ`.
///
/// @param lora A `[R, H]` and B `[V, R]`; its dropout applies while training
/// @param gradientOfA F32 `[R, H]`, or null if frozen; `gradientOfB` F32 `[V, R]` likewise
record HeadUpdate(
    Projection.Lora lora, @Nullable Tensor gradientOfA, @Nullable Tensor gradientOfB) {

  /// What the update makes of its input.
  ///
  /// @param input `[T, H]` after dropout
  /// @param innerGradient room for the gradient of the term's inner tensor; null without backward
  record Made(Tensor input, LowRankTerm term, @Nullable Tensor innerGradient) {}

  private Projection down() {
    return new Projection(new Weight.Dense(lora.a()), null, null);
  }

  /// Memory taken by [#forward] without a backward pass, on `rows` rows.
  long bytes(long rows, Backend backend) {
    return TensorArena.sizeOf(backend.activationType(), rows * LinearGroup.padded(lora.rank()))
        + backend.matmul().scratchBytes(rows, List.of(down()));
  }

  /// @param x `[T, H]`, kept as it is
  Made forward(Tensor x, Pass pass) {
    Dropout dropout = pass.training() ? lora.dropout() : null;
    Tensor input = x;
    if (dropout != null) {
      input = pass.activation(x.rows(), x.cols());
      pass.backend().tensor().dropout(input, x, dropout);
    }
    Tensor inner = LinearGroup.allocate(x.rows(), lora.rank(), pass);
    pass.backend()
        .matmul()
        .forward(
            List.of(inner),
            Collections.singletonList(null),
            input,
            null,
            List.of(down()),
            pass.arena());
    return new Made(
        input,
        new LowRankTerm(inner, lora.b(), lora.scale()),
        pass.training() ? LinearGroup.allocate(x.rows(), lora.rank(), pass) : null);
  }

  /// For a loss with gradients, or without.
  LossOps.Update loss(Made made) {
    return new LossOps.Update(made.term(), made.innerGradient(), gradientOfB);
  }

  /// Adds to the gradient of `x` and to that of A.
  void backward(Tensor dx, Made made, Pass pass) {
    Tensor innerGradient = made.innerGradient();
    if (innerGradient == null) {
      throw new IllegalStateException("a pass without gradients has no backward");
    }
    Dropout dropout = lora.dropout();
    if (dropout == null) {
      inputGradient(dx, Accumulate.ADD, innerGradient, pass);
    } else {
      Tensor part = pass.activation(dx.rows(), dx.cols());
      inputGradient(part, Accumulate.REPLACE, innerGradient, pass);
      pass.backend().tensor().dropout(part, part, dropout);
      pass.backend().tensor().add(dx, part);
    }
    pass.backend()
        .matmul()
        .weightGradients(
            List.of(innerGradient),
            Collections.singletonList(null),
            made.input(),
            List.of(down()),
            List.of(new Projection.Gradients(gradientOfA, null, null, null)),
            pass.arena());
  }

  private void inputGradient(Tensor dx, Accumulate accumulate, Tensor innerGradient, Pass pass) {
    pass.backend()
        .matmul()
        .backward(
            dx,
            accumulate,
            List.of(innerGradient),
            Collections.singletonList(null),
            Collections.singletonList(null),
            List.of(down()),
            List.of(Projection.Gradients.NONE),
            pass.arena());
  }
}
