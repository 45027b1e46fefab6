package dev.gatun.cuda.op;

import static dev.gatun.cuda.op.DeviceStorage.pointer;
import static dev.gatun.cuda.op.DeviceStorage.pointerOrNull;

import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.Kernel;
import dev.gatun.cuda.KernelSpec;
import dev.gatun.cuda.LaunchConfig;
import dev.gatun.cuda.op.Products.Form;
import dev.gatun.op.LossOps;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// Output head and cross-entropy: trained rows are gathered first, then, chunk by chunk, a product
/// gives F32 logits, `loss.cu` turns them into losses and, in place, into their gradient, and two
/// products take that to the hidden states and the head.
final class CudaLossOps implements LossOps {
  private static final KernelSpec<CrossEntropy> KERNEL =
      new KernelSpec<>("loss", "cross_entropy_f32", CrossEntropy.class);

  private static final int THREADS = 512;

  private final Launcher launcher;
  private final Products products;
  private final CudaMatmulOps matmul;
  private final CudaEmbeddingOps rows;
  private final CudaTensorOps tensors;
  private final ColumnSum columnSum;
  private final Kernel<CrossEntropy> kernel;

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
    kernel = launcher.kernel(KERNEL);
  }

  @Override
  public void linearCrossEntropy(
      Outputs outputs,
      @Nullable Gradients gradients,
      Tensor hidden,
      Weight head,
      @Nullable Tensor bias,
      Targets targets,
      Config config,
      TensorArena scratch) {
    if (gradients != null) {
      tensors.zero(gradients.hidden());
    }
    long mark = scratch.mark();
    Tensor weight = matmul.dense(head, scratch);
    long count = targets.count();
    for (long from = 0; from < count; from += config.chunkRows()) {
      long inside = scratch.mark();
      long size = Math.min(config.chunkRows(), count - from);
      Chunk chunk = new Chunk(from, size, targets, outputs);
      Tensor states = scratch.allocate(DType.BF16, Shape.of(size, hidden.cols()));
      rows.gatherRows(states, hidden, targets.rows().rows(from, size));
      Tensor logits = strided(scratch, size, head.out());
      products.multiply(Form.NT, logits, states, weight, 1, false, scratch);
      Tensor upstream = gradients == null ? null : gradients.upstream();
      crossEntropy(logits, chunk, upstream, bias, config);
      if (gradients != null) {
        backward(gradients, gradientOf(logits), states, weight, chunk, scratch);
      }
      scratch.release(inside);
    }
    scratch.release(mark);
  }

  @Override
  public long scratchBytes(long trainedRows, Weight head, Config config) {
    long size = Math.min(config.chunkRows(), Math.max(1, trainedRows));
    long hidden = head.in();
    long vocabulary = head.out();
    return CudaMatmulOps.denseBytes(head)
        + 2 * TensorArena.sizeOf(DType.BF16, size * hidden)
        + TensorArena.sizeOf(DType.F32, size * padded(vocabulary))
        + Products.scratchBytes(size, vocabulary, hidden)
        + Products.scratchBytes(size, hidden, vocabulary)
        + Products.scratchBytes(vocabulary, hidden, size)
        + ColumnSum.scratchBytes(vocabulary);
  }

  private record Chunk(long from, long size, Targets targets, Outputs outputs) {}

  private void crossEntropy(
      Tensor logits, Chunk chunk, @Nullable Tensor upstream, @Nullable Tensor bias, Config config) {
    Outputs outputs = chunk.outputs();
    launcher.launch(
        kernel,
        LaunchConfig.cover(chunk.size(), 1, THREADS),
        new CrossEntropy(
            pointer(logits),
            logits.rowStride(),
            Math.toIntExact(logits.cols()),
            pointer(chunk.targets().labels().rows(chunk.from(), chunk.size())),
            pointer(outputs.tokenLoss().rows(chunk.from(), chunk.size())),
            pointerOrNull(part(outputs.correct(), chunk)),
            pointerOrNull(part(outputs.entropy(), chunk)),
            pointerOrNull(upstream),
            config.labelSmoothing(),
            config.logitScale(),
            config.softcap(),
            pointerOrNull(bias),
            bias == null ? 0 : Launcher.typeCode(bias.dtype()),
            Launcher.vector(logits.cols(), logits)));
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
    rows.scatterRows(
        gradients.hidden(), dstates, chunk.targets().rows().rows(chunk.from(), chunk.size()));
    if (gradients.head() != null) {
      products.multiply(Form.TN, gradients.head(), dlogits, states, 1, true, scratch);
    }
    if (gradients.bias() != null) {
      columnSum.addRows(gradients.bias(), dlogits, scratch);
    }
  }

  private static @Nullable Tensor part(@Nullable Tensor tensor, Chunk chunk) {
    return tensor == null ? null : tensor.rows(chunk.from(), chunk.size());
  }

  // Rows padded to whole 16-byte pieces, so that the products read them fast whatever the
  // vocabulary.
  private static Tensor strided(TensorArena scratch, long rows, long cols) {
    return scratch.allocate(DType.F32, Shape.of(rows, padded(cols))).columns(0, cols);
  }

  private static long padded(long cols) {
    return (cols + 7) / 8 * 8;
  }

  // The gradient that the kernel leaves where the logits were: BF16, in rows of the same bytes.
  private static Tensor gradientOf(Tensor logits) {
    return new Tensor(
        logits.storage(), logits.byteOffset(), DType.BF16, logits.shape(), 2 * logits.rowStride());
  }

  record CrossEntropy(
      DevicePtr logits,
      long stride,
      int vocabulary,
      DevicePtr labels,
      DevicePtr tokenLoss,
      DevicePtr correct,
      DevicePtr entropy,
      DevicePtr upstream,
      float smoothing,
      float scale,
      float softcap,
      DevicePtr bias,
      int biasType,
      int vector) {}
}
