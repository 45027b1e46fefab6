package dev.gatun.nn;

import dev.gatun.op.Accumulate;
import dev.gatun.op.Projection;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.Tensor;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The low-rank update of the token embedding: `y[t] += s·B·A[:, ids[t]]`. As in PEFT it has no
/// dropout.
///
/// @param a compute copy `[R, V]`
/// @param b compute copy `[H, R]`
/// @param scale of the update
/// @param gradientOfA F32 `[R, V]`, or null if frozen; `gradientOfB` F32 `[H, R]` likewise
record EmbeddingUpdate(
    Tensor a, Tensor b, float scale, @Nullable Tensor gradientOfA, @Nullable Tensor gradientOfB) {

  boolean isTrained() {
    return gradientOfA != null;
  }

  /// @param y `[T, H]`, added to
  /// @param embeddingScale of the embedding itself
  void forward(Tensor y, float embeddingScale, Pass pass) {
    long mark = pass.arena().mark();
    Tensor inner = inner(embeddingScale, pass);
    pass.backend()
        .matmul()
        .forward(
            List.of(y), Collections.singletonList(null), inner, y, List.of(up()), pass.arena());
    pass.arena().release(mark);
  }

  /// @param paddingId id that gets no gradient, or null
  void backward(Tensor dy, float embeddingScale, @Nullable Integer paddingId, Pass pass) {
    if (gradientOfA == null) {
      return;
    }
    long mark = pass.arena().mark();
    Tensor inner = inner(embeddingScale, pass);
    Tensor innerGradient = LinearGroup.allocate(inner.rows(), inner.cols(), pass);
    List<Projection> up = List.of(up());
    List<@Nullable Tensor> none = Collections.singletonList(null);
    pass.backend()
        .matmul()
        .backward(
            innerGradient,
            Accumulate.REPLACE,
            List.of(dy),
            none,
            none,
            up,
            List.of(Projection.Gradients.NONE),
            pass.arena());
    pass.backend()
        .matmul()
        .weightGradients(
            List.of(dy),
            none,
            inner,
            up,
            List.of(new Projection.Gradients(gradientOfB, null, null, null)),
            pass.arena());
    scatter(gradientOfA, innerGradient, scale * embeddingScale, paddingId, pass);
    pass.arena().release(mark);
  }

  private static void scatter(
      Tensor into, Tensor innerGradient, float scale, @Nullable Integer paddingId, Pass pass) {
    if (paddingId == null || paddingId < 0 || paddingId >= into.cols()) {
      add(into, innerGradient, scale, pass);
      return;
    }
    Tensor column = into.columns(paddingId, 1);
    Tensor kept = pass.floats(into.rows(), 1);
    pass.backend().tensor().copy(kept, column);
    add(into, innerGradient, scale, pass);
    pass.backend().tensor().copy(column, kept);
  }

  private static void add(Tensor into, Tensor innerGradient, float scale, Pass pass) {
    pass.backend()
        .embedding()
        .scatterAddColumns(into, innerGradient, pass.tokens().ids(), scale, pass.arena());
  }

  private Tensor inner(float embeddingScale, Pass pass) {
    Tensor inner = LinearGroup.allocate(a.rows(), pass);
    pass.backend().embedding().gatherColumns(inner, a, pass.tokens().ids(), scale * embeddingScale);
    return inner;
  }

  private Projection up() {
    return new Projection(new Weight.Dense(b), null, null);
  }
}
