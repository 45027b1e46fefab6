package dev.gatun.cuda.op;

import static dev.gatun.cuda.op.DeviceStorage.pointer;

import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.Kernel;
import dev.gatun.cuda.KernelSpec;
import dev.gatun.cuda.LaunchConfig;
import dev.gatun.cuda.op.Products.Extras;
import dev.gatun.cuda.op.Products.Form;
import dev.gatun.op.Accumulate;
import dev.gatun.op.Dropout;
import dev.gatun.op.MatmulOps;
import dev.gatun.op.Projection;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/// Linear layers. A 4-bit weight is decoded inside the product kernel, or, for many rows where
/// cuBLASLt is installed, into scratch for the library's product; few rows take the bandwidth-bound
/// kernel.
final class CudaMatmulOps implements MatmulOps {
  private static final KernelSpec<Gemv> GEMV8 =
      new KernelSpec<>("nf4", "nf4_gemv_8_bf16", Gemv.class);
  private static final KernelSpec<Gemv> GEMV16 =
      new KernelSpec<>("nf4", "nf4_gemv_16_bf16", Gemv.class);
  private static final KernelSpec<Gemv> GEMV32 =
      new KernelSpec<>("nf4", "nf4_gemv_32_bf16", Gemv.class);

  private static final int FEW_ROWS = 32; // up to here reading the packed weight is all that counts
  private static final int GEMV_RANGE = 512;
  private static final int GEMV_TABLE_BYTES = 32768;

  private final Launcher launcher;
  private final Products products;
  private final CudaQuantOps quant;
  private final CudaTensorOps tensors;
  private final ColumnSum columnSum;
  private final Kernel<Gemv> gemv8;
  private final Kernel<Gemv> gemv16;
  private final Kernel<Gemv> gemv32;

  CudaMatmulOps(Launcher launcher, Products products, CudaQuantOps quant, CudaTensorOps tensors) {
    this.launcher = launcher;
    this.products = products;
    this.quant = quant;
    this.tensors = tensors;
    columnSum = new ColumnSum(launcher);
    gemv8 = launcher.kernel(GEMV8);
    gemv16 = launcher.kernel(GEMV16);
    gemv32 = launcher.kernel(GEMV32);
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
    for (int i = 0; i < projections.size(); i++) {
      long mark = scratch.mark();
      Projection projection = projections.get(i);
      Projection.Lora lora = projection.lora();
      Extras extras = new Extras(projection.bias(), residual, null, null, 0);
      if (lora != null) {
        Tensor saved = i < loraInner.size() ? loraInner.get(i) : null;
        Tensor inner =
            saved != null ? saved : scratch.allocate(DType.BF16, Shape.of(x.rows(), lora.rank()));
        computeInner(inner, x, lora, scratch);
        extras = new Extras(projection.bias(), residual, inner, lora.b(), lora.scale());
      }
      product(Form.NT, ys.get(i), x, projection.weight(), extras, false, scratch);
      scratch.release(mark);
    }
  }

  @Override
  public void loraInner(
      List<@Nullable Tensor> inner, Tensor x, List<Projection> projections, TensorArena scratch) {
    for (int i = 0; i < projections.size(); i++) {
      Tensor target = inner.get(i);
      Projection.Lora lora = projections.get(i).lora();
      if (target != null && lora != null && x.rows() > 0) {
        computeInner(target, x, lora, scratch);
      }
    }
  }

  @Override
  public void backward(
      @Nullable Tensor dx,
      Accumulate accumulate,
      List<Tensor> dys,
      Tensor x,
      List<@Nullable Tensor> loraInner,
      List<Projection> projections,
      List<Projection.Gradients> gradients,
      TensorArena scratch) {
    boolean add = accumulate == Accumulate.ADD;
    for (int i = 0; i < projections.size(); i++) {
      Tensor dy = dys.get(i);
      if (dy.rows() == 0) {
        return;
      }
      long mark = scratch.mark();
      Projection projection = projections.get(i);
      Projection.Gradients wanted = gradients.get(i);
      if (wanted.weight() != null) {
        products.multiply(Form.TN, wanted.weight(), dy, x, 1, true, scratch);
      }
      if (wanted.bias() != null) {
        columnSum.addRows(wanted.bias(), dy, scratch);
      }
      Tensor inner = i < loraInner.size() ? loraInner.get(i) : null;
      Projection.Lora lora = projection.lora();
      Tensor dInner =
          lora == null || (dx == null && wanted.a() == null && wanted.b() == null)
              ? null
              : loraBackward(dy, x, inner, lora, wanted, scratch);
      if (dx != null) {
        inputGradient(dx, dy, projection, dInner, add, scratch);
        add = true;
      }
      scratch.release(mark);
    }
  }

  @Override
  public void logits(
      Tensor logits, Tensor x, Weight head, @Nullable Tensor bias, TensorArena scratch) {
    long mark = scratch.mark();
    products.multiply(Form.NT, logits, x, dense(head, scratch), 1, false, scratch);
    if (bias != null) {
      tensors.addRow(logits, bias);
    }
    scratch.release(mark);
  }

  @Override
  public long scratchBytes(long rows, List<Projection> projections) {
    long most = 0;
    for (Projection p : projections) {
      long out = p.weight().out();
      long in = p.weight().in();
      long rank = p.lora() == null ? 0 : p.lora().rank();
      long bytes = TensorArena.sizeOf(DType.BF16, (out + rank) * (in + rank));
      bytes += TensorArena.sizeOf(DType.BF16, rows * (Math.min(in, out) + rank));
      bytes += TensorArena.sizeOf(DType.F32, Math.ceilDiv(out * in, 64L));
      bytes += TensorArena.sizeOf(DType.F32, FEW_ROWS * out * Math.ceilDiv(in, (long) GEMV_RANGE));
      bytes += ColumnSum.scratchBytes(out);
      bytes += Products.scratchBytes(rows, out, in);
      Projection.Lora lora = p.lora();
      if (lora != null) {
        bytes += 2 * TensorArena.sizeOf(DType.BF16, rows * lora.rank());
        bytes += Products.scratchBytes(rows, lora.rank(), Math.max(in, out));
        bytes += Products.scratchBytes(lora.rank(), Math.max(in, out), rows);
        bytes += Products.scratchBytes(out, lora.rank(), rows);
        bytes += lora.dropout() == null ? 0 : 2 * TensorArena.sizeOf(DType.BF16, rows * in);
      } else {
        bytes += Products.scratchBytes(out, in, rows);
      }
      most = Math.max(most, bytes);
    }
    return most;
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
    if (decodable.isPresent() && form == Form.NT && a.rows() <= FEW_ROWS && !accumulate) {
      fewRows(out, a, decodable.get(), extras, scratch);
    } else if (decodable.isPresent() && !products.hasLibrary()) {
      Tensor scales = quant.plainScales(decodable.get(), scratch);
      products.multiplyNf4(form, out, a, decodable.get(), scales, extras, accumulate);
    } else if (joins(form, out, a, weight, extras)) {
      joined(form, out, a, weight, extras, accumulate, scratch);
    } else {
      products.multiply(form, out, a, dense(weight, scratch), extras, accumulate, scratch);
    }
  }

  // A low-rank update costs a pass over the output of its own. Where the output is much wider than
  // the input, it is cheaper to put
  // the update into the product: [a | inner] · [W | B]ᵀ, or [a | inner] · [W ; A].
  private boolean joins(Form form, Tensor out, Tensor a, Weight weight, Extras extras) {
    return products.hasLibrary()
        && extras.inner() != null
        && out.cols() >= 2 * a.cols()
        && a.cols() % 8 == 0
        && extras.inner().cols() % 8 == 0
        && (form == Form.NN || weight.in() % 8 == 0)
        && !isBf16(weight);
  }

  private void joined(
      Form form,
      Tensor out,
      Tensor a,
      Weight weight,
      Extras extras,
      boolean accumulate,
      TensorArena scratch) {
    Tensor inner = Objects.requireNonNull(extras.inner());
    Tensor factor = Objects.requireNonNull(extras.factor());
    long k = a.cols();
    long rank = inner.cols();
    Tensor left = scratch.allocate(DType.BF16, Shape.of(a.rows(), k + rank));
    tensors.copy(left.columns(0, k), a);
    tensors.copyScaled(left.columns(k, rank), inner, extras.scale());
    Tensor right =
        scratch.allocate(
            DType.BF16,
            form == Form.NT ? Shape.of(weight.out(), k + rank) : Shape.of(k + rank, weight.in()));
    boolean columns = form == Form.NT;
    quant.dequantize(columns ? right.columns(0, k) : right.rows(0, k), weight);
    tensors.copy(columns ? right.columns(k, rank) : right.rows(k, rank), factor);
    Extras rest = new Extras(extras.bias(), extras.residual(), null, null, 0);
    products.multiply(form, out, left, right, rest, accumulate, scratch);
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

  private void fewRows(Tensor y, Tensor x, Weight.Nf4 weight, Extras extras, TensorArena scratch) {
    int rows = Math.toIntExact(x.rows());
    int ranges = Math.toIntExact(Math.ceilDiv(weight.in(), (long) GEMV_RANGE));
    Tensor scales = quant.plainScales(weight, scratch);
    Tensor partial = scratch.allocate(DType.F32, Shape.of((long) ranges * rows, weight.out()));
    int tile = rows <= 8 ? 8 : rows <= 16 ? 16 : 32;
    Kernel<Gemv> kernel = rows <= 8 ? gemv8 : rows <= 16 ? gemv16 : gemv32;
    launcher.launch(
        kernel,
        LaunchConfig.of(1, 256)
            .withGrid(Math.toIntExact(Math.ceilDiv(weight.out(), 128L)), ranges, 1)
            .withShared(GEMV_TABLE_BYTES + tile * (GEMV_RANGE * 2 + 16)),
        new Gemv(
            pointer(partial),
            pointer(x, DType.BF16, "x"),
            x.rowStride(),
            pointer(weight.packed()),
            pointer(scales),
            rows,
            weight.out(),
            weight.in(),
            GEMV_RANGE));
    Tensor residual = extras.residual();
    if (residual != null && !residual.equals(y)) {
      tensors.copy(y, residual);
    }
    products.sumSplits(y, partial, ranges, residual != null);
    if (extras.bias() != null) {
      tensors.addRow(y, extras.bias());
    }
    if (extras.inner() != null && extras.factor() != null) {
      products.multiply(Form.NT, y, extras.inner(), extras.factor(), extras.scale(), true, scratch);
    }
  }

  private void computeInner(Tensor inner, Tensor x, Projection.Lora lora, TensorArena scratch) {
    long mark = scratch.mark();
    Tensor dropped = dropped(x, lora.dropout(), scratch);
    products.multiply(Form.NT, inner, dropped, lora.a(), 1, false, scratch);
    scratch.release(mark);
  }

  private Tensor dropped(Tensor x, @Nullable Dropout dropout, TensorArena scratch) {
    if (dropout == null || dropout.probability() == 0) {
      return x;
    }
    Tensor copy = scratch.allocate(DType.BF16, Shape.of(x.rows(), x.cols()));
    tensors.dropout(copy, x, dropout);
    return copy;
  }

  // Adds the gradients of A and B and returns `s·dy·B`, in scratch.
  private Tensor loraBackward(
      Tensor dy,
      Tensor x,
      @Nullable Tensor inner,
      Projection.Lora lora,
      Projection.Gradients wanted,
      TensorArena scratch) {
    if (wanted.b() != null) {
      if (inner == null) {
        throw new IllegalArgumentException("the gradient of B needs what forward saved");
      }
      products.multiply(Form.TN, wanted.b(), dy, inner, lora.scale(), true, scratch);
    }
    Tensor dInner = scratch.allocate(DType.BF16, Shape.of(dy.rows(), lora.rank()));
    products.multiply(Form.NN, dInner, dy, lora.b(), lora.scale(), false, scratch);
    if (wanted.a() != null) {
      long mark = scratch.mark();
      Tensor dropped = dropped(x, lora.dropout(), scratch);
      products.multiply(Form.TN, wanted.a(), dInner, dropped, 1, true, scratch);
      scratch.release(mark);
    }
    return dInner;
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
    Dropout dropout = lora.dropout();
    if (dropout == null || dropout.probability() == 0) {
      product(Form.NN, dx, dy, weight, new Extras(null, null, dInner, lora.a(), 1), add, scratch);
      return;
    }
    product(Form.NN, dx, dy, weight, Extras.NONE, add, scratch);
    addDropped(dx, dInner, lora.a(), dropout, scratch);
  }

  private void addDropped(
      Tensor dx, Tensor dInner, Tensor a, Dropout dropout, TensorArena scratch) {
    Tensor part = scratch.allocate(DType.BF16, Shape.of(dx.rows(), dx.cols()));
    products.multiply(Form.NN, part, dInner, a, 1, false, scratch);
    tensors.dropout(part, part, dropout);
    tensors.add(dx, part);
  }

  record Gemv(
      DevicePtr partial,
      DevicePtr x,
      long xStride,
      DevicePtr packed,
      DevicePtr scales,
      int rows,
      long out,
      long in,
      int range) {}
}
