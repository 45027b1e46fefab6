package dev.gatun.cuda.op;

import static dev.gatun.cuda.op.DeviceStorage.pointer;
import static dev.gatun.cuda.op.DeviceStorage.pointerOrNull;

import dev.gatun.cuda.CublasLt;
import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.Gemm;
import dev.gatun.cuda.Kernel;
import dev.gatun.cuda.KernelSpec;
import dev.gatun.cuda.LaunchConfig;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Products of bf16 matrices, by cuBLASLt where it is installed and the operands suit it, else by
/// `matmul.cu`; and of 4-bit weights, decoded inside the kernel.
final class Products {
  /// Which operands are stored with the reduction as rows.
  enum Form {
    /// `A [m, k] · B [n, k]ᵀ`.
    NT("nt"),
    /// `A [m, k] · B [k, n]`.
    NN("nn"),
    /// `A [k, m]ᵀ · B [k, n]`.
    TN("tn");

    private final String suffix;

    Form(String suffix) {
      this.suffix = suffix;
    }
  }

  /// What is added to a product: `bias [n]` of any type, `residual [m, n]` bf16, the low-rank
  /// `scale · inner · factor`.
  record Extras(
      @Nullable Tensor bias,
      @Nullable Tensor residual,
      @Nullable Tensor inner,
      @Nullable Tensor factor,
      float scale) {
    static final Extras NONE = new Extras(null, null, null, null, 0);
  }

  private static final List<KernelSpec<Parameters>> ALIGNED_SPECS = specs("matmul_%s_bf16");
  private static final List<KernelSpec<Parameters>> ANY_SPECS = specs("matmul_%s_any_bf16");
  private static final KernelSpec<Parameters> NF4_FORWARD =
      new KernelSpec<>("matmul", "nf4_matmul_nt_bf16", Parameters.class);
  private static final KernelSpec<Parameters> NF4_BACKWARD =
      new KernelSpec<>("matmul", "nf4_matmul_nn_bf16", Parameters.class);
  private static final KernelSpec<SplitSum> SPLIT_SUM =
      new KernelSpec<>("matmul", "split_sum_f32", SplitSum.class);

  private static final int TILE = 128;
  private static final int STEP = 64;
  private static final int SHARED_DENSE = 98304;
  private static final int SHARED_NF4 = 94272;
  private static final int MOST_SPLITS = 16;
  static final long WORKSPACE_BYTES = 32L << 20;

  private final Launcher launcher;
  private final CudaTensorOps tensors;
  private final @Nullable CublasLt cublas;
  private final CublasLt.Workspace workspace;
  private final List<Kernel<Parameters>> aligned;
  private final List<Kernel<Parameters>> any;
  private final Kernel<Parameters> nf4Forward;
  private final Kernel<Parameters> nf4Backward;
  private final Kernel<SplitSum> splitSum;

  Products(
      Launcher launcher,
      CudaTensorOps tensors,
      @Nullable CublasLt cublas,
      CublasLt.Workspace workspace) {
    this.launcher = launcher;
    this.tensors = tensors;
    this.cublas = cublas;
    this.workspace = workspace;
    aligned = ALIGNED_SPECS.stream().map(launcher::kernel).toList();
    any = ANY_SPECS.stream().map(launcher::kernel).toList();
    nf4Forward = launcher.kernel(NF4_FORWARD);
    nf4Backward = launcher.kernel(NF4_BACKWARD);
    splitSum = launcher.kernel(SPLIT_SUM);
  }

  boolean hasLibrary() {
    return cublas != null;
  }

  /// `out = alpha · A·B`, or `out += …`; out BF16 or F32.
  void multiply(
      Form form,
      Tensor out,
      Tensor a,
      Tensor b,
      float alpha,
      boolean accumulate,
      TensorArena scratch) {
    long k = form == Form.TN ? a.rows() : a.cols();
    if (out.count() == 0 || k == 0) {
      return;
    }
    if (cublas != null && suitsLibrary(out, a, b)) {
      library(cublas, form, out, a, b, k, alpha, accumulate ? out : null);
    } else {
      own(form, out, a, b, alpha, accumulate, scratch);
    }
  }

  /// `out = A·B + extras` for BF16 outputs, or `out += …` without extras but the low-rank one.
  void multiply(
      Form form,
      Tensor out,
      Tensor a,
      Tensor b,
      Extras extras,
      boolean accumulate,
      TensorArena scratch) {
    if (cublas == null || !suitsLibrary(out, a, b)) {
      Operands operands = new Operands(pointer(b), b.rowStride(), DevicePtr.NULL);
      long k = a.cols();
      launcher.launch(
          (suitsVector(a, b) ? aligned : any).get(form.ordinal()),
          grid(out.rows(), out.cols(), 1).withShared(SHARED_DENSE),
          parameters(
              pointer(out), out, a, operands, out.cols(), k, extras, 1, accumulate, steps(k)));
      return;
    }
    Tensor residual = extras.residual();
    boolean joins = residual != null && Launcher.isVector(residual);
    library(cublas, form, out, a, b, a.cols(), 1, accumulate ? out : joins ? residual : null);
    if (residual != null && !joins) {
      tensors.add(out, residual);
    }
    if (extras.bias() != null) {
      tensors.addRow(out, extras.bias());
    }
    if (extras.inner() != null && extras.factor() != null) {
      multiply(form, out, extras.inner(), extras.factor(), extras.scale(), true, scratch);
    }
  }

  /// `out = A·dq(W)ᵀ` (NT) or `A·dq(W)` (NN) plus extras, decoding inside the kernel. Plain scales,
  /// blocks of 64 within rows, A aligned.
  void multiplyNf4(
      Form form,
      Tensor out,
      Tensor a,
      Weight.Nf4 weight,
      Tensor scales,
      Extras extras,
      boolean accumulate) {
    long n = form == Form.NT ? weight.out() : weight.in();
    long k = form == Form.NT ? weight.in() : weight.out();
    Operands operands =
        new Operands(pointer(weight.packed()), weight.in(), pointer(scales, DType.F32, "scales"));
    launcher.launch(
        form == Form.NT ? nf4Forward : nf4Backward,
        grid(out.rows(), n, 1).withShared(SHARED_NF4),
        parameters(pointer(out), out, a, operands, n, k, extras, 1, accumulate, steps(k)));
  }

  /// `out (+)= Σ_z partial[z]`.
  void sumSplits(Tensor out, Tensor partial, int splits, boolean accumulate) {
    launcher.launch(
        splitSum,
        launcher.gridStride(out.count()),
        new SplitSum(
            pointer(out),
            Launcher.typeCode(out.dtype()),
            out.rowStride(),
            pointer(partial),
            splits,
            out.rows(),
            out.cols(),
            1,
            accumulate ? 1 : 0));
  }

  /// Scratch that [#multiply] needs at most for an output of this size.
  static long scratchBytes(long rows, long cols, long k) {
    int splits = splits(rows, cols, k);
    return splits == 1 ? 0 : TensorArena.sizeOf(DType.F32, splits * rows * cols);
  }

  /// Scratch that [#multiply] needs at most for an output of up to so many rows.
  static long mostScratchBytes(long rows, long cols, long k) {
    long most = scratchBytes(rows, cols, k);
    // Fewer rows are split more; between two steps the last row takes most.
    for (long fewer = TILE; fewer < rows && splits(fewer, cols, k) > 1; fewer += TILE) {
      most = Math.max(most, scratchBytes(fewer, cols, k));
    }
    return most;
  }

  private void library(
      CublasLt lt,
      Form form,
      Tensor out,
      Tensor a,
      Tensor b,
      long k,
      float alpha,
      @Nullable Tensor added) {
    Gemm gemm =
        new Gemm(
            out.rows(),
            out.cols(),
            k,
            new Gemm.Operand(form == Form.TN, a.rowStride()),
            new Gemm.Operand(form == Form.NT, b.rowStride()),
            added == null ? out.rowStride() : added.rowStride(),
            out.rowStride(),
            out.dtype() == DType.F32 ? Gemm.Output.F32 : Gemm.Output.BF16);
    lt.multiply(
        launcher.stream(),
        gemm,
        new CublasLt.Matrices(pointer(a), pointer(b), pointerOrNull(added), pointer(out)),
        alpha,
        added == null ? 0 : 1,
        workspace);
  }

  private void own(
      Form form,
      Tensor out,
      Tensor a,
      Tensor b,
      float alpha,
      boolean accumulate,
      TensorArena scratch) {
    long k = form == Form.TN ? a.rows() : a.cols();
    int splits = splits(out.rows(), out.cols(), k);
    int stepsPerSplit = Math.ceilDiv(steps(k), splits);
    Operands operands = new Operands(pointer(b), b.rowStride(), DevicePtr.NULL);
    LaunchConfig grid = grid(out.rows(), out.cols(), splits).withShared(SHARED_DENSE);
    Kernel<Parameters> kernel = (suitsVector(a, b) ? aligned : any).get(form.ordinal());
    if (splits == 1) {
      Parameters direct =
          parameters(
              pointer(out),
              out,
              a,
              operands,
              out.cols(),
              k,
              Extras.NONE,
              alpha,
              accumulate,
              stepsPerSplit);
      launcher.launch(kernel, grid, direct);
      return;
    }
    long mark = scratch.mark();
    Tensor partial = scratch.allocate(DType.F32, Shape.of(splits * out.rows(), out.cols()));
    Tensor first = partial.rows(0, out.rows());
    launcher.launch(
        kernel,
        grid,
        parameters(
            pointer(partial),
            first,
            a,
            operands,
            out.cols(),
            k,
            Extras.NONE,
            alpha,
            false,
            stepsPerSplit));
    sumSplits(out, partial, splits, accumulate);
    scratch.release(mark);
  }

  private record Operands(DevicePtr b, long stride, DevicePtr scales) {}

  private static Parameters parameters(
      DevicePtr address,
      Tensor out,
      Tensor a,
      Operands b,
      long n,
      long k,
      Extras extras,
      float alpha,
      boolean accumulate,
      int stepsPerSplit) {
    Tensor bias = extras.bias();
    Tensor residual = extras.residual();
    Tensor inner = extras.inner();
    Tensor factor = extras.factor();
    return new Parameters(
        address,
        Launcher.typeCode(out.dtype()),
        out.rowStride(),
        pointer(a, DType.BF16, "left operand"),
        a.rowStride(),
        b.b(),
        b.stride(),
        b.scales(),
        out.rows(),
        n,
        k,
        pointerOrNull(inner),
        inner == null ? 0 : inner.rowStride(),
        pointerOrNull(factor),
        factor == null ? 0 : factor.rowStride(),
        inner == null ? 0 : Math.toIntExact(inner.cols()),
        extras.scale(),
        pointerOrNull(bias),
        bias == null ? 0 : Launcher.typeCode(bias.dtype()),
        pointerOrNull(residual),
        residual == null ? 0 : residual.rowStride(),
        alpha,
        accumulate ? 1 : 0,
        out.rows() * n,
        stepsPerSplit);
  }

  // One kernel for each form, in the order of the enum.
  private static List<KernelSpec<Parameters>> specs(String pattern) {
    return Arrays.stream(Form.values())
        .map(form -> new KernelSpec<>("matmul", pattern.formatted(form.suffix), Parameters.class))
        .toList();
  }

  private static boolean suitsVector(Tensor a, Tensor b) {
    return a.cols() % 8 == 0 && b.cols() % 8 == 0 && Launcher.isVector(a) && Launcher.isVector(b);
  }

  // The library wants rows that start at multiples of 16 bytes; their length does not matter.
  private static boolean suitsLibrary(Tensor out, Tensor a, Tensor b) {
    return Launcher.isVector(out) && Launcher.isVector(a) && Launcher.isVector(b);
  }

  private static LaunchConfig grid(long rows, long cols, int splits) {
    return LaunchConfig.of(1, 256)
        .withGrid(
            (int) Math.ceilDiv(cols, (long) TILE), (int) Math.ceilDiv(rows, (long) TILE), splits);
  }

  private static int steps(long k) {
    return Math.toIntExact(Math.ceilDiv(k, (long) STEP));
  }

  // Few output tiles and a long reduction (a LoRA gradient): more blocks share the reduction.
  private static int splits(long rows, long cols, long k) {
    long tiles = Math.ceilDiv(rows, (long) TILE) * Math.ceilDiv(cols, (long) TILE);
    long wanted = Math.min(MOST_SPLITS, Math.ceilDiv(128L, Math.max(1, tiles)));
    return (int) Math.max(1, Math.min(wanted, steps(k) / 4));
  }

  record Parameters(
      DevicePtr out,
      int outType,
      long outStride,
      DevicePtr a,
      long aStride,
      DevicePtr b,
      long bStride,
      DevicePtr scales,
      long m,
      long n,
      long k,
      DevicePtr e1,
      long e1Stride,
      DevicePtr e2,
      long e2Stride,
      int r,
      float eScale,
      DevicePtr bias,
      int biasType,
      DevicePtr residual,
      long residualStride,
      float alpha,
      int accumulate,
      long splitStride,
      int stepsPerSplit) {}

  record SplitSum(
      DevicePtr out,
      int outType,
      long outStride,
      DevicePtr partial,
      int splits,
      long rows,
      long cols,
      float alpha,
      int accumulate) {}
}
