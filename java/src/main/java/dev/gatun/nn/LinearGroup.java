package dev.gatun.nn;

import dev.gatun.op.Accumulate;
import dev.gatun.op.GatedUpdates;
import dev.gatun.op.MatmulOps;
import dev.gatun.op.Projection;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Linear layers that share their input, so that the backend may compute them together. It does
/// where their operands lie side by side, which is how the tensors allocated here lie.
final class LinearGroup {
  // Columns of a row: whole vectors of 16 bytes, and where that costs little whole lines of 128.
  private static final int VECTOR = 8;
  private static final int LINE = 64;
  private static final int WIDE = 1024;

  private final List<Linear> linears;
  private final List<Projection> training;
  private final List<Projection> inference;
  private final List<Projection.Gradients> gradients;
  // Whether there is a weight-decomposed update, which the backend cannot compute with others.
  private final boolean decomposed;

  LinearGroup(List<Linear> linears) {
    this.linears = List.copyOf(linears);
    training = this.linears.stream().map(Linear::training).toList();
    inference = this.linears.stream().map(Linear::inference).toList();
    gradients = this.linears.stream().map(Linear::gradients).toList();
    decomposed = this.linears.stream().anyMatch(linear -> linear.dora() != null);
  }

  /// What lies between the two factors of each low-rank update, `x·Aᵀ` or `s·dy·B`.
  ///
  /// @param all `[T, Σ R]`, or null without updates
  /// @param parts columns of it, `[T, R_i]`; null where a layer has no update
  record Inner(@Nullable Tensor all, List<@Nullable Tensor> parts) {}

  /// Room for the input of the group, and behind it for what its low-rank updates make of it.
  record Input(Tensor x, Inner inner) {}

  /// Room for the outputs of the group or their gradients, and behind them for `s·dy·B`.
  ///
  /// @param ys `[T, out_i]`, columns of one buffer
  record Outputs(List<Tensor> ys, Inner inner) {}

  boolean isTrained() {
    return linears.stream().anyMatch(Linear::isTrained);
  }

  /// Columns of all low-rank updates, `Σ R`.
  long ranks() {
    return linears.stream().mapToLong(Linear::rank).sum();
  }

  private long outs() {
    return linears.stream().mapToLong(Linear::out).sum();
  }

  Input allocateInput(Pass pass) {
    long in = linears.getFirst().in();
    Tensor buffer = allocate(in + ranks(), pass);
    return new Input(buffer.columns(0, in), inner(buffer, in));
  }

  /// @param withInner whether there is room for the inner gradients
  Outputs allocateOutputs(boolean withInner, Pass pass) {
    Tensor buffer = allocate(outs() + (withInner ? ranks() : 0), pass);
    List<Tensor> ys = new ArrayList<>();
    long column = 0;
    for (Linear linear : linears) {
      ys.add(buffer.columns(column, linear.out()));
      column += linear.out();
    }
    return new Outputs(ys, withInner ? inner(buffer, column) : new Inner(null, List.of()));
  }

  /// Room for what the low-rank updates made of the input, by itself.
  Inner allocateInner(Pass pass) {
    return ranks() == 0 ? none() : inner(allocate(ranks(), pass), 0);
  }

  /// Outputs that lie elsewhere, with room behind them.
  ///
  /// @param room `[T, Σ R]` or more, or null without updates
  Outputs outputs(Tensor y, @Nullable Tensor room) {
    if (ranks() == 0) {
      return new Outputs(List.of(y), none());
    }
    if (room == null) {
      throw new IllegalStateException("no room for the gradients of a low-rank update");
    }
    return new Outputs(List.of(y), inner(room, 0));
  }

  /// `[T, columns]` whose rows start at multiples of 16 bytes, wide ones of 128.
  static Tensor allocate(long columns, Pass pass) {
    return allocate(pass.tokenCount(), columns, pass);
  }

  /// The same of another number of rows.
  static Tensor allocate(long rows, long columns, Pass pass) {
    return pass.activation(rows, padded(columns)).columns(0, columns);
  }

  static long padded(long columns) {
    int unit = columns < WIDE ? VECTOR : LINE;
    return (columns + unit - 1) / unit * unit;
  }

  private Inner inner(Tensor buffer, long first) {
    if (ranks() == 0) {
      return none();
    }
    List<@Nullable Tensor> parts = new ArrayList<>();
    long column = first;
    for (Linear linear : linears) {
      parts.add(linear.rank() == 0 ? null : buffer.columns(column, linear.rank()));
      column += linear.rank();
    }
    return new Inner(buffer.columns(first, column - first), parts);
  }

  private Inner none() {
    List<@Nullable Tensor> parts = new ArrayList<>();
    linears.forEach(_ -> parts.add(null));
    return new Inner(null, parts);
  }

  /// Fills `ys` and the inner part of `input`.
  void forward(List<Tensor> ys, Input input, @Nullable Tensor residual, Pass pass) {
    if (decomposed) {
      for (int i = 0; i < linears.size(); i++) {
        forwardAlone(i, ys.get(i), input.inner().parts().get(i), input.x(), residual, pass);
      }
      return;
    }
    matmul(pass)
        .forward(ys, input.inner().parts(), input.x(), residual, projections(pass), pass.arena());
  }

  private void forwardAlone(
      int i, Tensor y, @Nullable Tensor inner, Tensor x, @Nullable Tensor residual, Pass pass) {
    DoraLinear dora = linears.get(i).dora();
    if (dora != null) {
      dora.forward(y, inner, x, residual, pass);
      return;
    }
    matmul(pass)
        .forward(
            List.of(y),
            Collections.singletonList(inner),
            x,
            residual,
            List.of(projections(pass).get(i)),
            pass.arena());
  }

  /// Keeps what the low-rank updates made of an input that is about to go.
  void keep(Inner kept, Inner made, Pass pass) {
    if (kept.all() != null && made.all() != null) {
      pass.backend().tensor().copy(kept.all(), made.all());
    }
  }

  /// The gradients that need no input, `dx` unless null, and the inner part of `dys`.
  void backward(@Nullable Tensor dx, Outputs dys, Inner kept, Pass pass) {
    if (!decomposed) {
      backward(dx, Accumulate.REPLACE, dys, kept, 0, linears.size(), pass);
      return;
    }
    for (int i = 0; i < linears.size(); i++) {
      Accumulate accumulate = i == 0 ? Accumulate.REPLACE : Accumulate.ADD;
      DoraLinear dora = linears.get(i).dora();
      if (dora == null) {
        backward(dx, accumulate, dys, kept, i, i + 1, pass);
      } else {
        dora.backward(
            dx, accumulate, dys.ys().get(i), kept.parts().get(i), dys.inner().parts().get(i), pass);
      }
    }
  }

  /// Of layers `from` to before `to`, plain ones.
  private void backward(
      @Nullable Tensor dx,
      Accumulate accumulate,
      Outputs dys,
      Inner kept,
      int from,
      int to,
      Pass pass) {
    matmul(pass)
        .backward(
            dx,
            accumulate,
            dys.ys().subList(from, to),
            kept.parts().subList(from, to),
            dys.inner().parts().subList(from, to),
            projections(pass).subList(from, to),
            gradients.subList(from, to),
            pass.arena());
  }

  /// One of these layers before a gated activation, if its update has no dropout and nothing else
  /// of the layer is trained; else null.
  ///
  /// @param kept what forward made of the input
  /// @param made room for the inner gradients
  GatedUpdates.@Nullable Side gatedSide(int index, Inner kept, Inner made) {
    Projection.Lora lora = plainUpdate(index);
    Tensor inner = kept.parts().get(index);
    Tensor innerGradient = made.parts().get(index);
    Tensor b = gradients.get(index).b();
    return lora == null || inner == null || innerGradient == null || b == null
        ? null
        : new GatedUpdates.Side(lora, inner, innerGradient, b);
  }

  /// Where the gradient of A goes, under the same conditions.
  @Nullable Tensor plainGradientOfA(int index) {
    return plainUpdate(index) == null ? null : gradients.get(index).a();
  }

  private Projection.@Nullable Lora plainUpdate(int index) {
    Projection.Lora lora = training.get(index).lora();
    Projection.Gradients wanted = gradients.get(index);
    boolean plain =
        !decomposed
            && lora != null
            && lora.dropout() == null
            && wanted.weight() == null
            && wanted.bias() == null;
    return plain ? lora : null;
  }

  /// `dx` of [#backward] alone, where the inner part of `dys` is there already.
  void inputGradient(Tensor dx, Outputs dys, Pass pass) {
    matmul(pass).inputGradient(dx, dys.ys(), dys.inner().parts(), projections(pass), pass.arena());
  }

  /// The gradients that need the input, after [#backward].
  void weightGradients(Outputs dys, Tensor x, Pass pass) {
    if (!decomposed) {
      weightGradients(dys, x, 0, linears.size(), pass);
      return;
    }
    for (int i = 0; i < linears.size(); i++) {
      DoraLinear dora = linears.get(i).dora();
      if (dora == null) {
        weightGradients(dys, x, i, i + 1, pass);
      } else {
        dora.weightGradients(dys.ys().get(i), dys.inner().parts().get(i), x, pass);
      }
    }
  }

  private void weightGradients(Outputs dys, Tensor x, int from, int to, Pass pass) {
    matmul(pass)
        .weightGradients(
            dys.ys().subList(from, to),
            dys.inner().parts().subList(from, to),
            x,
            projections(pass).subList(from, to),
            gradients.subList(from, to),
            pass.arena());
  }

  /// The same for the output of a normalisation, which is made again only where that is needed.
  ///
  /// @param x before the normalisation
  void weightGradients(Outputs dys, RmsNorm norm, Tensor x, Tensor rstd, Pass pass) {
    boolean done =
        !decomposed
            && matmul(pass)
                .weightGradientsOfNormalized(
                    dys.inner().parts(),
                    norm.of(x, rstd),
                    projections(pass),
                    gradients,
                    pass.arena());
    if (!done) {
      long mark = pass.arena().mark();
      Tensor normed = pass.activation(pass.tokenCount(), x.cols());
      norm.forward(normed, null, x, pass);
      weightGradients(dys, normed, pass);
      pass.arena().release(mark);
    }
  }

  private List<Projection> projections(Pass pass) {
    return pass.training() ? training : inference;
  }

  private static MatmulOps matmul(Pass pass) {
    return pass.backend().matmul();
  }
}
