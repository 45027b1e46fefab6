package dev.gatun.kernels;

import dev.gatun.FailureException;
import dev.gatun.cuda.Context;
import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.Stream;
import dev.gatun.cuda.op.CudaBackend;
import dev.gatun.op.AttentionOps;
import dev.gatun.op.Backend;
import dev.gatun.op.LossOps;
import dev.gatun.op.OptimizerOps;
import dev.gatun.op.Projection;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Absmax;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Single kernels on the caller's own device memory, stream and context: JCuda's, or those of any
/// other user of the CUDA driver.
///
/// Calls are queued on the caller's stream, in order with the caller's own work, and return at once
/// unless they say otherwise; what they read and write must stay until the stream gets there.
/// Shapes and types are checked when the records are made, addresses when they are used: a wrong
/// one is an [IllegalArgumentException], before the GPU sees it. Opening takes a fraction of a
/// second, 16 MiB of pinned host memory and up to 32 MiB of device memory: do it once. One thread
/// at a time.
///
/// Scratch is explicit: [#reserveScratch] or [#useScratch] with as much as [#scratchBytes] of the
/// calls to come; a call that finds too little throws [dev.gatun.op.ArenaExhaustedException].
public final class GatunKernels implements AutoCloseable {
  private final Context context;
  private final Stream stream;
  private final CudaBackend ops;
  private final Views views;
  private TensorArena scratch;
  private boolean closed;

  private GatunKernels(Context context, Stream stream, CudaBackend ops) {
    this.context = context;
    this.stream = stream;
    this.ops = ops;
    views = new Views(context);
    scratch = new NoScratch();
  }

  /// Opens the kernels on a stream of the context that is current on this thread. Neither is closed
  /// with them.
  ///
  /// @param streamHandle a `CUstream` or `cudaStream_t`; 0 is the legacy default stream
  /// @throws IllegalStateException if no context is current
  /// @throws FailureException if there is no usable driver or GPU, or this build has no kernels
  public static GatunKernels adopt(long streamHandle) {
    Context context = Context.adopt();
    Stream stream = context.foreignStream("caller's", streamHandle);
    try {
      return new GatunKernels(context, stream, CudaBackend.over(stream));
    } catch (RuntimeException e) {
      stream.close();
      context.close();
      throw e;
    }
  }

  /// The same kernels as op families over tensors, for what this class has no method for.
  public Backend ops() {
    return ops;
  }

  // ---- scratch

  /// Allocates scratch memory in place of what was there; waits for the stream.
  public void reserveScratch(long bytes) {
    replaceScratch();
    scratch = ops.arena("kernels' scratch", bytes);
  }

  /// Uses the caller's memory, from a multiple of 256 bytes on, as scratch; waits for the stream.
  public void useScratch(DevicePtr start, long bytes) {
    if (start.address() % TensorArena.ALIGNMENT != 0) {
      throw new IllegalArgumentException(
          "scratch at %s does not start at a multiple of %d"
              .formatted(start, TensorArena.ALIGNMENT));
    }
    context.requireReachable("scratch", start, bytes);
    replaceScratch();
    scratch =
        CudaBackend.arena(
            "caller's scratch", context.foreignBuffer("caller's scratch", start, bytes));
  }

  private void replaceScratch() {
    stream.synchronize();
    scratch.close();
    scratch = new NoScratch();
  }

  /// Scratch that [#linear] and [#linearBackward] of this layer need at most.
  public long scratchBytes(Linear layer) {
    Lora lora = layer.lora();
    long inner = lora == null ? 0 : TensorArena.sizeOf(DType.BF16, layer.x().rows() * lora.rank());
    return inner + ops.matmul().scratchBytes(layer.x().rows(), List.of(views.projection(layer)));
  }

  /// Scratch that [#crossEntropy] needs at most.
  public long scratchBytes(CrossEntropy loss) {
    return ops.loss()
        .scratchBytes(loss.rows().count(), views.weight("head", loss.head()), loss.config());
  }

  /// Scratch that [#attention] and [#attentionBackward] need at most.
  public long scratchBytes(Attention attention) {
    int size = attention.headSize();
    return ops.attention()
        .scratchBytes(
            attention.q().rows(),
            Math.toIntExact(attention.q().cols() / size),
            Math.toIntExact(attention.k().cols() / size),
            size);
  }

  /// Scratch that [#quantize] needs.
  public long scratchBytes(Nf4Matrix weight) {
    return TensorArena.sizeOf(DType.F32, Nf4Matrix.blockCount(weight.out(), weight.in()));
  }

  // ---- kernels

  /// Quantises a contiguous BF16 or F32 matrix, bit for bit as bitsandbytes. With nested scales it
  /// fills the code book, waits, and returns the weight with its offset; else the destination.
  public Nf4Matrix quantize(Nf4Matrix destination, Matrix source) {
    Require.shape("source", source, source.dtype(), destination.out(), destination.in());
    Weight.Nf4 done =
        ops.quant().quantize(views.nf4(destination), views.matrix("source", source), scratch);
    return switch (destination.scales()) {
      case Nf4Matrix.Scales.Plain _ -> destination;
      case Nf4Matrix.Scales.Nested s -> {
        float offset = done.absmax() instanceof Absmax.Nested nested ? nested.offset() : 0;
        yield new Nf4Matrix(
            destination.packed(),
            new Nf4Matrix.Scales.Nested(s.codes(), s.absmax(), s.map(), offset),
            destination.out(),
            destination.in());
      }
    };
  }

  /// `y = dq(weight)`, BF16 or F32 `[out, in]`.
  public void dequantize(Matrix y, Nf4Matrix weight) {
    Require.shape("y", y, y.dtype(), weight.out(), weight.in());
    ops.quant().dequantize(views.matrix("y", y), views.nf4(weight));
  }

  /// A linear layer over a dense or 4-bit weight, with its low-rank update in the same pass.
  public void linear(Linear layer) {
    long mark = scratch.mark();
    Tensor inner = views.matrixOrNull("loraInner", layer.loraInner());
    ops.matmul()
        .forward(
            List.of(views.matrix("y", layer.y())),
            Collections.singletonList(inner == null ? innerScratch(layer) : inner),
            views.matrix("x", layer.x()),
            views.matrixOrNull("residual", layer.residual()),
            List.of(views.projection(layer)),
            scratch);
    scratch.release(mark);
  }

  private @Nullable Tensor innerScratch(Linear layer) {
    Lora lora = layer.lora();
    return lora == null
        ? null
        : scratch.allocate(DType.BF16, Shape.of(layer.x().rows(), lora.rank()));
  }

  /// The gradients of a linear layer: of its input, its low-rank update, its bias, its weight.
  public void linearBackward(LinearBackward call) {
    Linear layer = call.forward();
    LinearBackward.Gradients wanted = call.gradients();
    List<Tensor> dys = List.of(views.matrix("dy", call.dy()));
    List<Projection> projections = List.of(views.projection(layer));
    List<Projection.Gradients> gradients =
        List.of(
            new Projection.Gradients(
                views.matrixOrNull("dW", wanted.weight()),
                views.vectorOrNull("dbias", wanted.bias()),
                views.matrixOrNull("dA", wanted.a()),
                views.matrixOrNull("dB", wanted.b())));
    Tensor dx = views.matrixOrNull("dx", call.dx());
    List<@Nullable Tensor> inner =
        Collections.singletonList(views.matrixOrNull("loraInner", layer.loraInner()));
    long mark = scratch.mark();
    List<@Nullable Tensor> innerGradients = Collections.singletonList(innerScratch(layer));
    ops.matmul()
        .backward(
            dx, call.accumulate(), dys, inner, innerGradients, projections, gradients, scratch);
    ops.matmul()
        .weightGradients(
            dys, innerGradients, views.matrix("x", layer.x()), projections, gradients, scratch);
    scratch.release(mark);
  }

  /// Losses of the trained rows and, in the same pass, their gradients.
  public void crossEntropy(CrossEntropy loss) {
    CrossEntropy.Gradients wanted = loss.gradients();
    ops.loss()
        .linearCrossEntropy(
            new LossOps.Outputs(
                views.vector("tokenLoss", loss.tokenLoss()),
                views.vectorOrNull("correct", loss.correct()),
                null),
            wanted == null
                ? null
                : new LossOps.Gradients(
                    views.matrix("dhidden", wanted.hidden()),
                    views.matrixOrNull("dhead", wanted.head()),
                    null,
                    views.vector("upstream", wanted.upstream())),
            views.matrix("hidden", loss.hidden()),
            views.weight("head", loss.head()),
            null,
            new LossOps.Targets(
                views.vector("rows", loss.rows()), views.vector("labels", loss.labels())),
            loss.config(),
            scratch);
  }

  /// Causal attention over packed sequences.
  public void attention(Attention call) {
    int size = call.headSize();
    ops.attention()
        .forward(
            views.heads("out", call.out(), size),
            views.matrix("logSumExp", call.logSumExp()),
            views.heads("q", call.q(), size),
            views.heads("k", call.k(), size),
            views.heads("v", call.v(), size),
            views.sequences(call.sequences()),
            call.config(),
            scratch);
  }

  /// The gradients of attention.
  public void attentionBackward(AttentionBackward call) {
    Attention forward = call.forward();
    int size = forward.headSize();
    AttentionOps.Sequences sequences = views.sequences(forward.sequences());
    ops.attention()
        .backward(
            views.heads("dq", call.dq(), size),
            views.heads("dk", call.dk(), size),
            views.heads("dv", call.dv(), size),
            views.heads("dout", call.dout(), size),
            views.heads("q", forward.q(), size),
            views.heads("k", forward.k(), size),
            views.heads("v", forward.v(), size),
            views.heads("out", forward.out(), size),
            views.matrix("logSumExp", forward.logSumExp()),
            sequences,
            forward.config(),
            scratch);
  }

  /// `norm[0] = sqrt(Σ g²)` over F32 gradients, in a fixed order. Scratch: 4 KiB a gradient.
  public void globalNorm(Vector norm, List<Vector> gradients) {
    Require.count("norm", norm, DType.F32, 1);
    List<Tensor> tensors = gradients.stream().map(g -> views.vector("gradient", g)).toList();
    ops.optimizer().globalNorm(views.vector("norm", norm), tensors, scratch);
  }

  /// One step of AdamW.
  public void adamW(AdamWUpdate update) {
    AdamWUpdate.Clip clip = update.clip();
    ops.optimizer()
        .adamW(
            views.vector("parameter", update.parameter()),
            views.vector("gradient", update.gradient()),
            views.vector("m", update.m()),
            views.vector("v", update.v()),
            views.vectorOrNull("computeCopy", update.computeCopy()),
            clip == null
                ? null
                : new OptimizerOps.Clip(views.vector("norm", clip.norm()), clip.maxNorm()),
            update.step());
  }

  /// Waits for the work queued here and frees what these kernels hold; the caller's stream, context
  /// and memory stay as they are. A second call does nothing.
  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    TensorArena held = scratch;
    try (context;
        stream;
        ops;
        views;
        held) {
      stream.synchronize();
    }
  }
}
