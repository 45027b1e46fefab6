package dev.gatun.nn;

import dev.gatun.op.Accumulate;
import dev.gatun.op.Backend;
import dev.gatun.op.Dropout;
import dev.gatun.op.MatmulOps;
import dev.gatun.op.Projection;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/// A linear layer with a weight-decomposed low-rank update (DoRA: Liu et al., 2024; PEFT's
/// `dora.py`): with `V = W + s·B·A`, `g = m / ‖V‖` for each output feature and `x̃ = dropout(x)`,
///
/// ```
/// y  = bias + W·(x − x̃) + g ⊙ (V·x̃)
/// dm = Σ_t dy ⊙ (V·x̃) / ‖V‖
/// ```
///
/// and everything else as for a plain update whose output gradient is `g ⊙ dy`, the norm being a
/// constant. Without dropout the first product vanishes.
final class DoraLinear {
  private final String path;
  private final Projection base;
  private final Projection updated;
  private final Projection withDropout;
  private final Projection.Lora lora;
  private final Projection.Gradients gradients;
  private final Magnitude magnitude;

  /// @param value the trained magnitudes `m`, F32 `[out]`: their small steps would vanish in 16 bit
  /// @param gradient F32 `[out]`, or null in a frozen model
  /// @param inverseNorm room for `1/‖V‖`, F32 `[out]`
  record Magnitude(Tensor value, @Nullable Tensor gradient, Tensor inverseNorm) {}

  /// @param projection the layer with its update, dropout included
  /// @param gradients of A and B; nothing else of the layer is trained
  DoraLinear(
      String path, Projection projection, Projection.Gradients gradients, Magnitude magnitude) {
    this.path = path;
    this.gradients = gradients;
    this.magnitude = magnitude;
    withDropout = projection;
    lora = Objects.requireNonNull(projection.lora(), "a low-rank update");
    base = new Projection(projection.weight(), projection.bias(), null);
    updated =
        new Projection(
            projection.weight(), null, new Projection.Lora(lora.a(), lora.b(), lora.scale(), null));
  }

  String path() {
    return path;
  }

  /// Computes the norms of the updated weight anew. To be called whenever A or B changed.
  void computeNorms(Backend backend, TensorArena scratch) {
    backend.dora().inverseNorms(magnitude.inverseNorm(), base.weight(), lora, scratch);
  }

  /// The norms that [#computeNorms] left, on the host: where magnitudes start. Waits.
  Tensor norms(Backend backend) {
    float[] norms = backend.download(magnitude.inverseNorm()).toFloats();
    for (int o = 0; o < norms.length; o++) {
      norms[o] = norms[o] == 0 ? 0 : 1 / norms[o];
    }
    return Tensor.ofFloats(Shape.of(norms.length), norms);
  }

  /// As [MatmulOps#forward].
  void forward(Tensor y, @Nullable Tensor inner, Tensor x, @Nullable Tensor residual, Pass pass) {
    long mark = pass.arena().mark();
    Tensor z = LinearGroup.allocate(base.weight().out(), pass);
    Dropout dropout = pass.training() ? lora.dropout() : null;
    if (dropout == null) {
      product(z, inner, x, null, updated, pass);
      scale(y, residual, base.bias(), z, pass);
    } else {
      Tensor kept = dropped(x, dropout, pass);
      Tensor lost = pass.activation(x.rows(), x.cols());
      pass.backend().tensor().copy(lost, x);
      pass.backend().tensor().subtract(lost, kept);
      product(z, inner, kept, null, updated, pass);
      product(y, null, lost, residual, base, pass);
      scale(y, y, null, z, pass);
    }
    pass.arena().release(mark);
  }

  /// As [MatmulOps#backward].
  void backward(
      @Nullable Tensor dx,
      Accumulate accumulate,
      Tensor dy,
      @Nullable Tensor inner,
      @Nullable Tensor innerGradient,
      Pass pass) {
    long mark = pass.arena().mark();
    Tensor dz = LinearGroup.allocate(dy.cols(), pass);
    scale(dz, null, null, dy, pass);
    Dropout dropout = lora.dropout();
    if (dx == null || dropout == null) {
      inputGradient(dx, accumulate, dz, inner, innerGradient, updated, pass);
    } else {
      // Of the kept part and of the lost one: dropout(Vᵀ·dz − Wᵀ·dy) + Wᵀ·dy.
      Tensor kept = pass.activation(dx.rows(), dx.cols());
      Tensor whole = pass.activation(dx.rows(), dx.cols());
      inputGradient(kept, Accumulate.REPLACE, dz, inner, innerGradient, updated, pass);
      inputGradient(whole, Accumulate.REPLACE, dy, null, null, base, pass);
      pass.backend().tensor().subtract(kept, whole);
      pass.backend().tensor().dropout(kept, kept, dropout);
      pass.backend().tensor().add(kept, whole);
      if (accumulate == Accumulate.ADD) {
        pass.backend().tensor().add(dx, kept);
      } else {
        pass.backend().tensor().copy(dx, kept);
      }
    }
    pass.arena().release(mark);
  }

  /// As [MatmulOps#weightGradients], and the gradient of the magnitudes.
  void weightGradients(Tensor dy, @Nullable Tensor innerGradient, Tensor x, Pass pass) {
    if (magnitude.gradient() != null) {
      long mark = pass.arena().mark();
      Tensor z = LinearGroup.allocate(dy.cols(), pass);
      Tensor inner = LinearGroup.allocate(lora.rank(), pass);
      Dropout dropout = lora.dropout();
      Tensor input = dropout == null ? x : dropped(x, dropout, pass);
      product(z, inner, input, null, updated, pass);
      pass.backend()
          .dora()
          .magnitudeGradient(magnitude.gradient(), dy, z, magnitude.inverseNorm(), pass.arena());
      pass.arena().release(mark);
    }
    matmul(pass)
        .weightGradients(
            List.of(dy),
            Collections.singletonList(innerGradient),
            x,
            List.of(withDropout),
            List.of(gradients),
            pass.arena());
  }

  private static void product(
      Tensor y,
      @Nullable Tensor inner,
      Tensor x,
      @Nullable Tensor residual,
      Projection projection,
      Pass pass) {
    matmul(pass)
        .forward(
            List.of(y),
            Collections.singletonList(inner),
            x,
            residual,
            List.of(projection),
            pass.arena());
  }

  private void inputGradient(
      @Nullable Tensor dx,
      Accumulate accumulate,
      Tensor dy,
      @Nullable Tensor inner,
      @Nullable Tensor innerGradient,
      Projection projection,
      Pass pass) {
    matmul(pass)
        .backward(
            dx,
            accumulate,
            List.of(dy),
            Collections.singletonList(inner),
            Collections.singletonList(innerGradient),
            List.of(projection),
            List.of(projection.lora() == null ? Projection.Gradients.NONE : gradients),
            pass.arena());
  }

  private void scale(
      Tensor y, @Nullable Tensor residual, @Nullable Tensor bias, Tensor z, Pass pass) {
    pass.backend().dora().scale(y, residual, bias, z, magnitude.value(), magnitude.inverseNorm());
  }

  private static Tensor dropped(Tensor x, Dropout dropout, Pass pass) {
    Tensor kept = pass.activation(x.rows(), x.cols());
    pass.backend().tensor().dropout(kept, x, dropout);
    return kept;
  }

  private static MatmulOps matmul(Pass pass) {
    return pass.backend().matmul();
  }
}
