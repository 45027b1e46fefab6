package dev.gatun.cuda.op;

import dev.gatun.cuda.op.Products.Extras;
import dev.gatun.cuda.op.Products.Form;
import dev.gatun.op.Accumulate;
import dev.gatun.op.Dropout;
import dev.gatun.op.LowRankTerm;
import dev.gatun.op.MatmulOps;
import dev.gatun.op.Normalized;
import dev.gatun.op.Projection;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/// Linear layers. A 4-bit weight is decoded inside the product kernel, or, for many rows where
/// cuBLASLt is installed, into scratch for the library's product; few rows take the bandwidth-bound
/// kernel.
final class CudaMatmulOps implements MatmulOps {
  private final Products products;
  private final CudaQuantOps quant;
  private final CudaTensorOps tensors;
  private final ColumnSum columnSum;
  private final LowRankUpdates updates;
  private final JoinedProducts joined;
  private final FewRowProducts fewRows;

  CudaMatmulOps(
      Launcher launcher,
      Products products,
      FewRowProducts fewRows,
      CudaQuantOps quant,
      CudaTensorOps tensors) {
    this.products = products;
    this.fewRows = fewRows;
    this.quant = quant;
    this.tensors = tensors;
    columnSum = new ColumnSum(launcher);
    updates = new LowRankUpdates(launcher, products, tensors);
    joined = new JoinedProducts(products, quant, tensors);
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
    if (x.rows() == 0) {
      return;
    }
    updates.inner(loraInner, x, projections, scratch);
    boolean many = x.rows() > FewRowProducts.MOST_ROWS;
    if (!many || !joined.forward(ys, loraInner, x, residual, projections, scratch)) {
      for (int i = 0; i < projections.size(); i++) {
        forwardAlone(ys.get(i), loraInner.get(i), x, residual, projections.get(i), scratch);
      }
    }
  }

  private void forwardAlone(
      Tensor y,
      @Nullable Tensor inner,
      Tensor x,
      @Nullable Tensor residual,
      Projection projection,
      TensorArena scratch) {
    long mark = scratch.mark();
    Projection.Lora lora = projection.lora();
    Extras extras =
        lora == null
            ? new Extras(projection.bias(), residual, null, null, 0)
            : new Extras(projection.bias(), residual, inner, lora.b(), lora.scale());
    product(Form.NT, y, x, projection.weight(), extras, false, scratch);
    scratch.release(mark);
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
    if (dys.getFirst().rows() == 0) {
      return;
    }
    for (int i = 0; i < projections.size(); i++) {
      Tensor bias = gradients.get(i).bias();
      if (bias != null) {
        columnSum.addRows(bias, dys.get(i), scratch);
      }
    }
    updates.backward(dys, loraInner, innerGradients, projections, gradients, scratch);
    if (dx != null) {
      boolean add = accumulate == Accumulate.ADD;
      inputGradient(dx, add, dys, innerGradients, projections, scratch);
    }
  }

  @Override
  public void inputGradient(
      Tensor dx,
      List<Tensor> dys,
      List<@Nullable Tensor> innerGradients,
      List<Projection> projections,
      TensorArena scratch) {
    inputGradient(dx, false, dys, innerGradients, projections, scratch);
  }

  private void inputGradient(
      Tensor dx,
      boolean accumulate,
      List<Tensor> dys,
      List<@Nullable Tensor> innerGradients,
      List<Projection> projections,
      TensorArena scratch) {
    if (joined.inputGradient(dx, accumulate, dys, innerGradients, projections, scratch)) {
      return;
    }
    boolean add = accumulate;
    for (int i = 0; i < projections.size(); i++) {
      long mark = scratch.mark();
      inputGradient(dx, dys.get(i), projections.get(i), innerGradients.get(i), add, scratch);
      scratch.release(mark);
      add = true;
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
    if (x.rows() == 0) {
      return;
    }
    for (int i = 0; i < projections.size(); i++) {
      Tensor weight = gradients.get(i).weight();
      if (weight != null) {
        products.multiply(Form.TN, weight, dys.get(i), x, 1, true, scratch);
      }
    }
    updates.gradientsOfA(innerGradients, x, projections, gradients, scratch);
  }

  @Override
  public boolean weightGradientsOfNormalized(
      List<@Nullable Tensor> innerGradients,
      Normalized x,
      List<Projection> projections,
      List<Projection.Gradients> gradients,
      TensorArena scratch) {
    return gradients.stream().allMatch(g -> g.weight() == null)
        && updates.gradientsOfA(innerGradients, x, projections, gradients, scratch);
  }

  @Override
  public void logits(
      Tensor logits,
      Tensor x,
      Weight head,
      @Nullable Tensor bias,
      @Nullable LowRankTerm update,
      TensorArena scratch) {
    long mark = scratch.mark();
    products.multiply(Form.NT, logits, x, dense(head, scratch), 1, false, scratch);
    if (bias != null) {
      tensors.addRow(logits, bias);
    }
    if (update != null) {
      products.multiply(Form.NT, logits, update.inner(), update.b(), update.scale(), true, scratch);
    }
    scratch.release(mark);
  }

  @Override
  public boolean usesDecoded() {
    return products.hasLibrary();
  }

  @Override
  public long scratchBytes(long rows, List<Projection> projections) {
    long alone = 0;
    for (Projection p : projections) {
      long out = p.weight().out();
      long in = p.weight().in();
      long bytes = denseBytes(p.weight());
      bytes += TensorArena.sizeOf(DType.F32, Math.ceilDiv(out * in, 64L));
      bytes += fewRows.scratchBytes(rows, out, in);
      bytes += ColumnSum.scratchBytes(out);
      bytes += Products.scratchBytes(rows, out, in);
      bytes += Products.scratchBytes(out, in, rows);
      Projection.Lora lora = p.lora();
      bytes += lora == null || !drops(lora) ? 0 : TensorArena.sizeOf(DType.BF16, rows * in);
      alone = Math.max(alone, bytes);
    }
    return LowRankUpdates.scratchBytes(rows, projections)
        + Math.max(alone, JoinedProducts.scratchBytes(projections));
  }

  /// Scratch that [#dense] takes.
  static long denseBytes(Weight weight) {
    return isBf16(weight) ? 0 : TensorArena.sizeOf(DType.BF16, weight.out() * weight.in());
  }

  private static boolean isBf16(Weight weight) {
    return weight instanceof Weight.Dense dense && dense.tensor().dtype() == DType.BF16;
  }

  /// `head` as a BF16 matrix: its own memory, or a copy in scratch that the caller releases.
  Tensor dense(Weight weight, TensorArena scratch) {
    if (weight instanceof Weight.Dense(Tensor tensor) && tensor.dtype() == DType.BF16) {
      return tensor;
    }
    if (weight instanceof Weight.Nf4 nf4 && nf4.decoded() != null) {
      return nf4.decoded().values(nf4.out(), nf4.in());
    }
    Tensor copy = scratch.allocate(DType.BF16, Shape.of(weight.out(), weight.in()));
    quant.dequantize(copy, weight);
    return copy;
  }

  private void product(
      Form form,
      Tensor out,
      Tensor a,
      Weight weight,
      Extras extras,
      boolean accumulate,
      TensorArena scratch) {
    Optional<Weight.Nf4> decodable = decodable(weight, a);
    boolean few = form == Form.NT && !accumulate && FewRowProducts.suits(out, a);
    if (decodable.isPresent() && few) {
      fewRows.multiply(out, a, decodable.get(), extras, scratch);
    } else if (decodable.isPresent() && !products.hasLibrary()) {
      Tensor scales = quant.plainScales(decodable.get(), scratch);
      products.multiplyNf4(form, out, a, decodable.get(), scales, extras, accumulate);
    } else {
      products.multiply(form, out, a, dense(weight, scratch), extras, accumulate, scratch);
    }
  }

  // What the decoding kernels take: blocks of 64 that do not straddle rows, a left operand of whole
  // 16-byte pieces.
  private static Optional<Weight.Nf4> decodable(Weight weight, Tensor a) {
    return weight instanceof Weight.Nf4 nf4
            && nf4.blockSize() == 64
            && nf4.in() % 64 == 0
            && a.cols() % 8 == 0
            && Launcher.isVector(a)
        ? Optional.of(nf4)
        : Optional.empty();
  }

  /// Whether an update drops elements of its input.
  static boolean drops(Projection.Lora lora) {
    Dropout dropout = lora.dropout();
    return dropout != null && dropout.probability() > 0;
  }

  private void inputGradient(
      Tensor dx,
      Tensor dy,
      Projection projection,
      @Nullable Tensor dInner,
      boolean add,
      TensorArena scratch) {
    Projection.Lora lora = projection.lora();
    Weight weight = projection.weight();
    if (lora == null || dInner == null) {
      product(Form.NN, dx, dy, weight, Extras.NONE, add, scratch);
      return;
    }
    if (!drops(lora)) {
      product(Form.NN, dx, dy, weight, new Extras(null, null, dInner, lora.a(), 1), add, scratch);
      return;
    }
    product(Form.NN, dx, dy, weight, Extras.NONE, add, scratch);
    updates.addDropped(dx, dInner, lora, scratch);
  }
}
