package dev.gatun.cuda.op;

import dev.gatun.cuda.op.Products.Extras;
import dev.gatun.cuda.op.Products.Form;
import dev.gatun.op.Projection;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Projections that share an input, with their low-rank updates, as one product of the library over
/// weights decoded into scratch:
///
/// ```
/// [y_1 | y_2]  = [x | inner_1 | inner_2] · [ W_1 | s·B_1 | 0 ; W_2 | 0 | s·B_2 ]ᵀ
/// dx           = [dy_1 | dy_2 | dInner_1 | dInner_2] · [ W_1 ; W_2 ; A_1 ; A_2 ]
/// ```
///
/// An update costs a few columns of the reduction instead of a pass over the output. It needs the
/// operands side by side, as [dev.gatun.op.MatmulOps] describes; each method returns false, having
/// done nothing, where they are not.
final class JoinedProducts {
  // Zeros are multiplied too: beyond this share of the reduction separate updates are cheaper.
  private static final int LEAST_IN_TO_RANK = 4;

  private final Products products;
  private final CudaQuantOps quant;
  private final CudaTensorOps tensors;

  JoinedProducts(Products products, CudaQuantOps quant, CudaTensorOps tensors) {
    this.products = products;
    this.quant = quant;
    this.tensors = tensors;
  }

  /// @param inner filled; null where there is no update
  boolean forward(
      List<Tensor> ys,
      List<@Nullable Tensor> inner,
      Tensor x,
      @Nullable Tensor residual,
      List<Projection> projections,
      TensorArena scratch) {
    Tensor left = SideBySide.columns(List.of(x), inner);
    if (left == null || !suits(left, x.cols(), projections)) {
      return false;
    }
    long mark = scratch.mark();
    Tensor operand = operand(projections, scratch);
    Tensor right = operand.rows(0, outs(projections)).columns(0, left.cols());
    long row = 0;
    long column = 0;
    for (Projection projection : projections) {
      Tensor rows = right.rows(row, projection.weight().out());
      if (left.cols() > x.cols()) {
        Tensor beside = rows.columns(x.cols(), left.cols() - x.cols());
        Projection.Lora lora = projection.lora();
        tensors.place(
            beside, lora == null ? null : lora.b(), column, lora == null ? 0 : lora.scale());
        column += projection.rank();
      }
      row += projection.weight().out();
    }
    multiplyInto(ys, left, right, residual, scratch);
    for (int i = 0; i < ys.size(); i++) {
      Tensor bias = projections.get(i).bias();
      if (bias != null) {
        tensors.addRow(ys.get(i), bias);
      }
    }
    scratch.release(mark);
    return true;
  }

  private void multiplyInto(
      List<Tensor> ys, Tensor left, Tensor right, @Nullable Tensor residual, TensorArena scratch) {
    Extras extras = new Extras(null, residual, null, null, 0);
    Tensor together = SideBySide.columns(ys);
    if (together != null) {
      products.multiply(Form.NT, together, left, right, extras, false, scratch);
      return;
    }
    long row = 0;
    for (Tensor y : ys) {
      products.multiply(Form.NT, y, left, right.rows(row, y.cols()), extras, false, scratch);
      row += y.cols();
    }
  }

  /// @param innerGradients filled; null where there is no update
  boolean inputGradient(
      Tensor dx,
      boolean accumulate,
      List<Tensor> dys,
      List<@Nullable Tensor> innerGradients,
      List<Projection> projections,
      TensorArena scratch) {
    Tensor left = SideBySide.columns(dys, innerGradients);
    if (left == null || !suits(left, dx.cols(), projections)) {
      return false;
    }
    if (projections.stream().anyMatch(p -> p.lora() != null && CudaMatmulOps.drops(p.lora()))) {
      return false;
    }
    long mark = scratch.mark();
    Tensor right = operand(projections, scratch).rows(0, left.cols()).columns(0, dx.cols());
    long row = outs(projections);
    List<Tensor> factors = new ArrayList<>();
    for (Projection projection : projections) {
      if (projection.lora() != null) {
        factors.add(projection.lora().a());
      }
    }
    if (!factors.isEmpty()) {
      Tensor stacked = SideBySide.rows(factors);
      for (Tensor factor : stacked == null ? factors : List.of(stacked)) {
        tensors.copy(right.rows(row, factor.rows()), factor);
        row += factor.rows();
      }
    }
    products.multiply(Form.NN, dx, left, right, Extras.NONE, accumulate, scratch);
    scratch.release(mark);
    return true;
  }

  /// The right operand of either direction with the weights decoded, its room for updates of
  /// unspecified content: kept, or in scratch that the caller releases. Its layout is the same, so
  /// that the library's result is.
  private Tensor operand(List<Projection> projections, TensorArena scratch) {
    Tensor kept = kept(projections);
    if (kept != null) {
      return kept;
    }
    Tensor operand = scratch.allocate(DType.BF16, Projection.operandShape(projections));
    long row = 0;
    for (Projection projection : projections) {
      Weight weight = projection.weight();
      quant.dequantize(operand.rows(row, weight.out()).columns(0, weight.in()), weight);
      row += weight.out();
    }
    return operand;
  }

  /// Values that were decoded before, if they lie as one operand.
  private static @Nullable Tensor kept(List<Projection> projections) {
    Tensor operand = null;
    long row = 0;
    for (Projection projection : projections) {
      if (!(projection.weight() instanceof Weight.Nf4 nf4)
          || nf4.decoded() == null
          || nf4.decoded().firstRow() != row
          || (operand != null && operand != nf4.decoded().operand())) {
        return null;
      }
      operand = nf4.decoded().operand();
      row += nf4.out();
    }
    return operand != null && operand.shape().equals(Projection.operandShape(projections))
        ? operand
        : null;
  }

  /// Scratch that either direction takes, the product's own left out.
  static long scratchBytes(List<Projection> projections) {
    return TensorArena.sizeOf(DType.BF16, Projection.operandShape(projections).count());
  }

  private boolean suits(Tensor left, long in, List<Projection> projections) {
    long ranks = projections.stream().mapToLong(Projection::rank).sum();
    return products.hasLibrary()
        && ranks * LEAST_IN_TO_RANK <= in
        && in % 8 == 0
        && Launcher.vector(left.cols(), left) == 1
        && projections.stream()
            .allMatch(p -> p.weight() instanceof Weight.Nf4 && p.rank() % 8 == 0);
  }

  private static long outs(List<Projection> projections) {
    return projections.stream().mapToLong(p -> p.weight().out()).sum();
  }
}
