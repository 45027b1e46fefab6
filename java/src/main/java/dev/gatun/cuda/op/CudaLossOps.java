package dev.gatun.cuda.op;

import static dev.gatun.cuda.op.DeviceStorage.pointer;
import static dev.gatun.cuda.op.DeviceStorage.pointerOrNull;

import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.Kernel;
import dev.gatun.cuda.KernelSpec;
import dev.gatun.cuda.LaunchConfig;
import dev.gatun.cuda.op.Products.Form;
import dev.gatun.op.LossOps;
import dev.gatun.op.LowRankTerm;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/// Output head and cross-entropy: trained rows are gathered first; then, chunk by chunk, products
/// give F32 logits of one slice of the vocabulary after the other, `loss.cu` keeps what losses and
/// gradient need of them in 16 bit and turns that, in place, into the gradient, and two products
/// take it to the hidden states and the head.
final class CudaLossOps implements LossOps {
  private static final KernelSpec<Slice> SLICE =
      new KernelSpec<>("loss", "cross_entropy_slice", Slice.class);
  private static final KernelSpec<Finish> FINISH =
      new KernelSpec<>("loss", "cross_entropy_finish", Finish.class);

  private static final int SLICE_THREADS = 256;
  private static final int FINISH_THREADS = 512;
  private static final int GROUP = 2048; // columns that share a maximum
  private static final int GROUP_BYTES = 5 * 4;

  /// Logits in F32 at a time: what stays in the L2 cache.
  private static final long SLICE_BYTES = 32L << 20;

  private final Launcher launcher;
  private final Products products;
  private final CudaMatmulOps matmul;
  private final CudaEmbeddingOps rows;
  private final CudaTensorOps tensors;
  private final ColumnSum columnSum;
  private final Kernel<Slice> slice;
  private final Kernel<Finish> finish;

  CudaLossOps(
      Launcher launcher,
      Products products,
      CudaMatmulOps matmul,
      CudaEmbeddingOps rows,
      CudaTensorOps tensors) {
    this.launcher = launcher;
    this.products = products;
    this.matmul = matmul;
    this.rows = rows;
    this.tensors = tensors;
    columnSum = new ColumnSum(launcher);
    slice = launcher.kernel(SLICE);
    finish = launcher.kernel(FINISH);
  }

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
    if (gradients != null) {
      tensors.zero(gradients.hidden());
      if (update != null) {
        tensors.zero(Objects.requireNonNull(update.innerGradient(), "room for dz·B"));
      }
    }
    long mark = scratch.mark();
    Tensor weight = matmul.dense(head, scratch);
    long count = targets.count();
    for (long from = 0; from < count; from += config.chunkRows()) {
      long inside = scratch.mark();
      long size = Math.min(config.chunkRows(), count - from);
      Chunk chunk = new Chunk(from, size, targets, outputs);
      Tensor states = scratch.allocate(DType.BF16, Shape.of(size, hidden.cols()));
      rows.gatherRows(states, hidden, chunk.rows());
      Logits logits = new Logits(chunk, head.out(), gradients != null, scratch);
      LowRankTerm term = gathered(update, chunk, scratch);
      logits(logits, states, weight, bias, term, config, scratch);
      Tensor upstream = gradients == null ? null : gradients.upstream();
      finish(logits, upstream, config);
      if (gradients != null && logits.kept() != null) {
        backward(gradients, logits.kept(), states, weight, chunk, scratch);
        if (update != null && term != null) {
          backward(update, term, logits.kept(), chunk, scratch);
        }
      }
      scratch.release(inside);
    }
    scratch.release(mark);
  }

  @Override
  public long scratchBytes(long trainedRows, Weight head, int rank, Config config) {
    long size = Math.min(config.chunkRows(), Math.max(1, trainedRows));
    long hidden = head.in();
    long vocabulary = head.out();
    long slice = sliceColumns(size, vocabulary);
    long forward =
        TensorArena.sizeOf(DType.F32, size * slice) + Products.scratchBytes(size, slice, hidden);
    long products =
        Math.max(
            Products.scratchBytes(size, hidden, vocabulary),
            Products.mostScratchBytes(vocabulary, hidden, size));
    long backward =
        TensorArena.sizeOf(DType.BF16, size * hidden)
            + Math.max(products, ColumnSum.scratchBytes(vocabulary));
    return CudaMatmulOps.denseBytes(head)
        + TensorArena.sizeOf(DType.BF16, size * hidden)
        + TensorArena.sizeOf(DType.U8, size * groups(vocabulary) * GROUP_BYTES)
        + TensorArena.sizeOf(DType.F32, size)
        + TensorArena.sizeOf(DType.BF16, size * padded(vocabulary))
        + Math.max(forward, backward)
        + updateBytes(size, vocabulary, slice, rank);
  }

  private static long updateBytes(long size, long vocabulary, long slice, int rank) {
    if (rank == 0) {
      return 0;
    }
    long products =
        Math.max(
            Products.scratchBytes(size, slice, rank),
            Math.max(
                Products.scratchBytes(size, rank, vocabulary),
                Products.scratchBytes(vocabulary, rank, size)));
    return 2 * TensorArena.sizeOf(DType.BF16, size * rank) + products;
  }

  /// The update with the chunk's rows of its inner tensor.
  private @Nullable LowRankTerm gathered(
      @Nullable Update update, Chunk chunk, TensorArena scratch) {
    if (update == null) {
      return null;
    }
    LowRankTerm term = update.term();
    Tensor inner = scratch.allocate(DType.BF16, Shape.of(chunk.size(), term.rank()));
    rows.gatherRows(inner, term.inner(), chunk.rows());
    return new LowRankTerm(inner, term.b(), term.scale());
  }

  private record Chunk(long from, long size, Targets targets, Outputs outputs) {
    Tensor rows() {
      return targets.rows().rows(from, size);
    }

    Tensor labels() {
      return targets.labels().rows(from, size);
    }
  }

  /// What is kept of a chunk's logits.
  ///
  /// @param groups for every row and group of columns its maximum and sums
  /// @param target F32 `[rows]`, the labels' logits
  /// @param kept `[rows, V]`, or null without gradients: steps below the maxima, two bytes each, in
  ///   whose place the gradient comes in BF16
  private record Logits(
      Chunk chunk, long vocabulary, Tensor groups, Tensor target, @Nullable Tensor kept) {
    Logits(Chunk chunk, long vocabulary, boolean keep, TensorArena scratch) {
      this(
          chunk,
          vocabulary,
          scratch.allocate(
              DType.U8, Shape.of(chunk.size(), CudaLossOps.groups(vocabulary) * GROUP_BYTES)),
          scratch.allocate(DType.F32, Shape.of(chunk.size())),
          // Rows of whole 16-byte pieces: the products read them fast whatever the vocabulary.
          keep
              ? scratch
                  .allocate(DType.BF16, Shape.of(chunk.size(), padded(vocabulary)))
                  .columns(0, vocabulary)
              : null);
    }

    int groupCount() {
      return Math.toIntExact(CudaLossOps.groups(vocabulary));
    }
  }

  private static long groups(long vocabulary) {
    return Math.ceilDiv(vocabulary, (long) GROUP);
  }

  /// Columns of a slice: whole groups.
  private static long sliceColumns(long rows, long vocabulary) {
    long fitting = SLICE_BYTES / Float.BYTES / rows / GROUP * GROUP;
    return Math.min(Math.max(GROUP, fitting), groups(vocabulary) * GROUP);
  }

  private void logits(
      Logits logits,
      Tensor states,
      Tensor weight,
      @Nullable Tensor bias,
      @Nullable LowRankTerm update,
      Config config,
      TensorArena scratch) {
    long mark = scratch.mark();
    long size = states.rows();
    long width = sliceColumns(size, logits.vocabulary());
    Tensor buffer = scratch.allocate(DType.F32, Shape.of(size, width));
    for (long first = 0; first < logits.vocabulary(); first += width) {
      long columns = Math.min(width, logits.vocabulary() - first);
      Tensor raw = buffer.columns(0, columns);
      products.multiply(Form.NT, raw, states, weight.rows(first, columns), 1, false, scratch);
      if (update != null) {
        Tensor b = update.b().rows(first, columns);
        products.multiply(Form.NT, raw, update.inner(), b, update.scale(), true, scratch);
      }
      Tensor kept = logits.kept() == null ? null : logits.kept().columns(first, columns);
      launcher.launch(
          slice,
          LaunchConfig.cover(size * groups(columns), SLICE_THREADS / 32, SLICE_THREADS),
          new Slice(
              pointer(raw),
              raw.rowStride(),
              size,
              Math.toIntExact(columns),
              Math.toIntExact(first),
              pointer(logits.chunk().labels()),
              pointer(logits.groups()),
              logits.groupCount(),
              pointer(logits.target()),
              pointerOrNull(kept),
              kept == null ? 0 : kept.rowStride(),
              config.labelSmoothing() > 0 || logits.chunk().outputs().entropy() != null ? 1 : 0,
              config.logitScale(),
              config.softcap(),
              pointerOrNull(bias),
              bias == null ? 0 : Launcher.typeCode(bias.dtype()),
              kept == null ? Launcher.vector(columns, raw) : Launcher.vector(columns, raw, kept)));
    }
    scratch.release(mark);
  }

  private void finish(Logits logits, @Nullable Tensor upstream, Config config) {
    Chunk chunk = logits.chunk();
    Outputs outputs = chunk.outputs();
    Tensor kept = logits.kept();
    launcher.launch(
        finish,
        LaunchConfig.cover(chunk.size(), 1, FINISH_THREADS),
        new Finish(
            pointer(logits.groups()),
            logits.groupCount(),
            Math.toIntExact(logits.vocabulary()),
            pointer(chunk.labels()),
            pointer(logits.target()),
            pointer(outputs.tokenLoss().rows(chunk.from(), chunk.size())),
            pointerOrNull(part(outputs.correct(), chunk)),
            pointerOrNull(part(outputs.entropy(), chunk)),
            pointerOrNull(upstream),
            config.labelSmoothing(),
            pointerOrNull(kept),
            kept == null ? 0 : kept.rowStride(),
            config.logitScale(),
            config.softcap(),
            kept == null ? 0 : Launcher.vector(kept.cols(), kept)));
  }

  private void backward(
      Gradients gradients,
      Tensor dlogits,
      Tensor states,
      Tensor weight,
      Chunk chunk,
      TensorArena scratch) {
    Tensor dstates = scratch.allocate(DType.BF16, states.shape());
    products.multiply(Form.NN, dstates, dlogits, weight, 1, false, scratch);
    rows.scatterRows(gradients.hidden(), dstates, chunk.rows());
    if (gradients.head() != null) {
      products.multiply(Form.TN, gradients.head(), dlogits, states, 1, true, scratch);
    }
    for (HeadRows rows : gradients.headRows()) {
      Tensor part = dlogits.columns(rows.first(), rows.gradient().rows());
      products.multiply(Form.TN, rows.gradient(), part, states, 1, true, scratch);
    }
    if (gradients.bias() != null) {
      columnSum.addRows(gradients.bias(), dlogits, scratch);
    }
  }

  private void backward(
      Update update, LowRankTerm term, Tensor dlogits, Chunk chunk, TensorArena scratch) {
    Tensor dinner = scratch.allocate(DType.BF16, term.inner().shape());
    products.multiply(Form.NN, dinner, dlogits, term.b(), term.scale(), false, scratch);
    rows.scatterRows(Objects.requireNonNull(update.innerGradient()), dinner, chunk.rows());
    if (update.b() != null) {
      products.multiply(Form.TN, update.b(), dlogits, term.inner(), term.scale(), true, scratch);
    }
  }

  private static @Nullable Tensor part(@Nullable Tensor tensor, Chunk chunk) {
    return tensor == null ? null : tensor.rows(chunk.from(), chunk.size());
  }

  private static long padded(long cols) {
    return (cols + 7) / 8 * 8;
  }

  record Slice(
      DevicePtr raw,
      long rawStride,
      long rows,
      int columns,
      int first,
      DevicePtr labels,
      DevicePtr groups,
      int groupCount,
      DevicePtr target,
      DevicePtr kept,
      long keptStride,
      int figures,
      float scale,
      float softcap,
      DevicePtr bias,
      int biasType,
      int vector) {}

  record Finish(
      DevicePtr groups,
      int groupCount,
      int vocabulary,
      DevicePtr labels,
      DevicePtr target,
      DevicePtr tokenLoss,
      DevicePtr correct,
      DevicePtr entropy,
      DevicePtr upstream,
      float smoothing,
      DevicePtr gradient,
      long stride,
      float scale,
      float softcap,
      int vector) {}
}
