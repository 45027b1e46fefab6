package dev.gatun.cuda.op;

import dev.gatun.cuda.op.Products.Form;
import dev.gatun.op.Normalized;
import dev.gatun.op.Projection;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/// The narrow products of low-rank updates: `x·Aᵀ`, `dy·B`, and the gradients of A and B, by
/// kernels of their own where the operands suit them, else as any other product. Adapters that
/// share an input, and whose factors, gradients and inner tensors lie side by side, read it once.
final class LowRankUpdates {
  private final LoraProducts narrow;
  private final Products products;
  private final CudaTensorOps tensors;

  LowRankUpdates(Launcher launcher, Products products, CudaTensorOps tensors) {
    narrow = new LoraProducts(launcher);
    this.products = products;
    this.tensors = tensors;
  }

  /// `inner_i = dropout_i(x)·A_iᵀ`.
  void inner(
      List<@Nullable Tensor> inner, Tensor x, List<Projection> projections, TensorArena scratch) {
    List<Tensor> plain = new ArrayList<>();
    List<Tensor> factors = new ArrayList<>();
    for (int i = 0; i < projections.size(); i++) {
      Projection.Lora lora = projections.get(i).lora();
      if (lora == null) {
        continue;
      }
      Tensor target = Objects.requireNonNull(inner.get(i), "room for x·Aᵀ");
      if (CudaMatmulOps.drops(lora)) {
        long mark = scratch.mark();
        products.multiply(Form.NT, target, dropped(x, lora, scratch), lora.a(), 1, false, scratch);
        scratch.release(mark);
      } else {
        plain.add(target);
        factors.add(lora.a());
      }
    }
    if (plain.isEmpty()) {
      return;
    }
    Tensor together = SideBySide.columns(plain);
    Tensor stacked = SideBySide.rows(factors);
    if (together != null && stacked != null && fits(stacked.rows())) {
      multiplyA(together, x, stacked, scratch);
      return;
    }
    for (int i = 0; i < plain.size(); i++) {
      multiplyA(plain.get(i), x, factors.get(i), scratch);
    }
  }

  // Ranks that the narrow kernels take at once; the library takes any.
  private static boolean fits(long ranks) {
    return ranks <= LoraProducts.MOST_RANK;
  }

  private void multiplyA(Tensor inner, Tensor x, Tensor a, TensorArena scratch) {
    if (LoraProducts.suits(a.rows(), x, inner, a)) {
      narrow.inner(inner, x, a, scratch);
    } else {
      products.multiply(Form.NT, inner, x, a, 1, false, scratch);
    }
  }

  /// `innerGradient_i = s_i·dy_i·B_i` and `dB_i += s_i·dy_iᵀ·inner_i`.
  void backward(
      List<Tensor> dys,
      List<@Nullable Tensor> inner,
      List<@Nullable Tensor> innerGradients,
      List<Projection> projections,
      List<Projection.Gradients> gradients,
      TensorArena scratch) {
    for (int i = 0; i < projections.size(); i++) {
      Projection.Lora lora = projections.get(i).lora();
      if (lora == null) {
        continue;
      }
      Tensor target = Objects.requireNonNull(innerGradients.get(i), "room for dy·B");
      Tensor db = gradients.get(i).b();
      Tensor saved = db == null ? null : Objects.requireNonNull(inner.get(i), "forward's x·Aᵀ");
      Tensor dy = dys.get(i);
      boolean suits =
          LoraProducts.suits(lora.rank(), dy, target, lora.b())
              && (saved == null || Launcher.isVector(saved));
      if (suits) {
        narrow.backwardB(target, db, dy, lora.b(), saved, lora.scale(), scratch);
        continue;
      }
      if (db != null && saved != null) {
        products.multiply(Form.TN, db, dy, saved, lora.scale(), true, scratch);
      }
      products.multiply(Form.NN, target, dy, lora.b(), lora.scale(), false, scratch);
    }
  }

  /// `dA_i += innerGradient_iᵀ·dropout_i(x)`.
  void gradientsOfA(
      List<@Nullable Tensor> innerGradients,
      Tensor x,
      List<Projection> projections,
      List<Projection.Gradients> gradients,
      TensorArena scratch) {
    for (int i = 0; i < projections.size(); i++) {
      Projection.Lora lora = projections.get(i).lora();
      Tensor a = gradients.get(i).a();
      if (lora != null && a != null && CudaMatmulOps.drops(lora)) {
        Tensor dInner = Objects.requireNonNull(innerGradients.get(i), "what backward left");
        long mark = scratch.mark();
        products.multiply(Form.TN, a, dInner, dropped(x, lora, scratch), 1, true, scratch);
        scratch.release(mark);
      }
    }
    Wanted wanted = Wanted.of(innerGradients, projections, gradients);
    if (wanted.gradients().isEmpty()) {
      return;
    }
    Tensor left = SideBySide.columns(wanted.inner());
    Tensor target = SideBySide.rows(wanted.gradients());
    if (left != null && target != null && fits(target.rows())) {
      gradientOfA(target, left, x, scratch);
      return;
    }
    for (int i = 0; i < wanted.gradients().size(); i++) {
      gradientOfA(wanted.gradients().get(i), wanted.inner().get(i), x, scratch);
    }
  }

  /// The same for an input that is not there but for its normalisation; false, with nothing done,
  /// if the updates do not lie together or drop elements.
  boolean gradientsOfA(
      List<@Nullable Tensor> innerGradients,
      Normalized x,
      List<Projection> projections,
      List<Projection.Gradients> gradients,
      TensorArena scratch) {
    for (int i = 0; i < projections.size(); i++) {
      Projection.Lora lora = projections.get(i).lora();
      if (lora != null && gradients.get(i).a() != null && CudaMatmulOps.drops(lora)) {
        return false;
      }
    }
    Wanted wanted = Wanted.of(innerGradients, projections, gradients);
    if (wanted.gradients().isEmpty()) {
      return true;
    }
    Tensor left = SideBySide.columns(wanted.inner());
    Tensor target = SideBySide.rows(wanted.gradients());
    if (left == null || target == null || !LoraProducts.suits(target.rows(), x.x(), left, target)) {
      return false;
    }
    narrow.gradientA(target, left, x, scratch);
    return true;
  }

  /// Trained `A`s of updates that see their input whole.
  private record Wanted(List<Tensor> inner, List<Tensor> gradients) {
    static Wanted of(
        List<@Nullable Tensor> innerGradients,
        List<Projection> projections,
        List<Projection.Gradients> gradients) {
      Wanted wanted = new Wanted(new ArrayList<>(), new ArrayList<>());
      for (int i = 0; i < projections.size(); i++) {
        Projection.Lora lora = projections.get(i).lora();
        Tensor a = gradients.get(i).a();
        if (lora != null && a != null && !CudaMatmulOps.drops(lora)) {
          wanted.inner.add(Objects.requireNonNull(innerGradients.get(i), "what backward left"));
          wanted.gradients.add(a);
        }
      }
      return wanted;
    }
  }

  private void gradientOfA(Tensor da, Tensor innerGradient, Tensor x, TensorArena scratch) {
    if (LoraProducts.suits(da.rows(), x, innerGradient, da)) {
      narrow.gradientA(da, innerGradient, x, scratch);
    } else {
      products.multiply(Form.TN, da, innerGradient, x, 1, true, scratch);
    }
  }

  /// `dx += dropout(innerGradient·A)`.
  void addDropped(Tensor dx, Tensor innerGradient, Projection.Lora lora, TensorArena scratch) {
    Tensor part = scratch.allocate(DType.BF16, Shape.of(dx.rows(), dx.cols()));
    products.multiply(Form.NN, part, innerGradient, lora.a(), 1, false, scratch);
    tensors.dropout(part, part, Objects.requireNonNull(lora.dropout()));
    tensors.add(dx, part);
  }

  private Tensor dropped(Tensor x, Projection.Lora lora, TensorArena scratch) {
    Tensor copy = scratch.allocate(DType.BF16, Shape.of(x.rows(), x.cols()));
    tensors.dropout(copy, x, Objects.requireNonNull(lora.dropout()));
    return copy;
  }

  /// Scratch that any of the above needs at most.
  static long scratchBytes(long rows, List<Projection> projections) {
    long most = 0;
    long ranks = 0;
    for (Projection p : projections) {
      Projection.Lora lora = p.lora();
      if (lora == null) {
        continue;
      }
      long out = p.weight().out();
      long in = p.weight().in();
      ranks += lora.rank();
      long bytes = CudaMatmulOps.drops(lora) ? TensorArena.sizeOf(DType.BF16, rows * in) : 0;
      bytes += Products.scratchBytes(rows, ranks, Math.max(in, out));
      bytes += Products.scratchBytes(ranks, in, rows);
      bytes += Products.scratchBytes(out, lora.rank(), rows);
      most = Math.max(most, Math.max(bytes, narrowBytes(rows, p, ranks)));
    }
    return most;
  }

  // Of `x·Aᵀ` and its gradient for the updates so far, together or this one alone, and of dy's.
  private static long narrowBytes(long rows, Projection p, long ranks) {
    long rank = Objects.requireNonNull(p.lora()).rank();
    long together = fits(ranks) ? ranks : 0;
    long alone = fits(rank) ? rank : 0;
    return Math.max(
        Math.max(
            LoraProducts.scratchBytes(rows, p.weight().in(), together),
            LoraProducts.scratchBytes(rows, p.weight().in(), alone)),
        LoraProducts.scratchBytes(rows, p.weight().out(), alone));
  }
}
