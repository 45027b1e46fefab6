package dev.gatun.op;

import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// A backend that computes nothing: its ops only take the scratch that those of a real backend
/// would take. A training step run on it, in [PlanningArena]s, is the memory plan of that step,
/// exact by construction.
public final class PlanningBackend implements Backend {
  private final Backend real;
  private final MatmulOps matmul = new Matmul();
  private final NormOps norm = new Norm();
  private final RopeOps rope = (_, _, _, _, _) -> {};
  private final AttentionOps attention = new Attention();
  private final MlpOps mlp = new Mlp();
  private final LossOps loss = new Loss();
  private final EmbeddingOps embedding = new Embedding();
  private final TensorOps tensor = new Elementwise();
  private final DoraOps dora = new Dora();

  /// @param real whose scratch sizes and activation type are planned with
  public PlanningBackend(Backend real) {
    this.real = real;
  }

  private static void take(TensorArena arena, long bytes) {
    if (!(arena instanceof PlanningArena planning)) {
      throw new IllegalArgumentException("arena '" + arena.name() + "' is not for planning");
    }
    planning.scratch(bytes);
  }

  @Override
  public String description() {
    return "memory plan for " + real.description();
  }

  @Override
  public DType activationType() {
    return real.activationType();
  }

  @Override
  public PlanningArena arena(String name, long bytes) {
    return new PlanningArena(name);
  }

  @Override
  public void upload(Tensor destination, MemorySegment source) {
    // Nothing has content.
  }

  @Override
  public Fence fence() {
    return new Fence() {
      @Override
      public void mark() {
        // Nothing is issued.
      }

      @Override
      public void close() {
        // Nothing is held.
      }
    };
  }

  @Override
  public void uploadAfter(Fence fence, Tensor destination, MemorySegment source) {
    // Nothing has content.
  }

  @Override
  public OffloadBuffer offload(String name, List<Long> slotBytes) {
    return new PlannedOffload(slotBytes);
  }

  /// Leaves the destination as it is.
  @Override
  public void download(MemorySegment destination, Tensor source) {
    // Nothing has content.
  }

  @Override
  public void synchronize() {
    // Nothing runs.
  }

  @Override
  public MatmulOps matmul() {
    return matmul;
  }

  @Override
  public NormOps norm() {
    return norm;
  }

  @Override
  public RopeOps rope() {
    return rope;
  }

  @Override
  public AttentionOps attention() {
    return attention;
  }

  @Override
  public MlpOps mlp() {
    return mlp;
  }

  @Override
  public LossOps loss() {
    return loss;
  }

  @Override
  public EmbeddingOps embedding() {
    return embedding;
  }

  /// @throws UnsupportedOperationException weights are not quantised within a step
  @Override
  public QuantOps quant() {
    throw new UnsupportedOperationException("quantisation is not part of a planned step");
  }

  /// @throws UnsupportedOperationException optimisers state their own needs
  @Override
  public OptimizerOps optimizer() {
    throw new UnsupportedOperationException("optimisers are not part of a planned step");
  }

  @Override
  public TensorOps tensor() {
    return tensor;
  }

  @Override
  public DoraOps dora() {
    return dora;
  }

  @Override
  public void close() {
    // The real backend belongs to the caller.
  }

  private record PlannedOffload(List<Long> slotBytes) implements OffloadBuffer {
    @Override
    public void store(int slot, Tensor source) {
      OffloadBuffer.offset(source, slot, slotBytes);
    }

    @Override
    public void prefetch(int slot, Tensor destination) {
      OffloadBuffer.offset(destination, slot, slotBytes);
    }

    @Override
    public void await(int slot) {
      // Nothing is copied.
    }

    @Override
    public long byteSize() {
      return OffloadBuffer.sum(slotBytes);
    }

    @Override
    public void close() {
      // Nothing is held.
    }
  }

  private final class Matmul implements MatmulOps {
    @Override
    public boolean usesDecoded() {
      return real.matmul().usesDecoded();
    }

    @Override
    public void forward(
        List<Tensor> ys,
        List<@Nullable Tensor> loraInner,
        Tensor x,
        @Nullable Tensor residual,
        List<Projection> projections,
        TensorArena scratch) {
      take(scratch, scratchBytes(x.rows(), projections));
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
      take(scratch, scratchBytes(dys.getFirst().rows(), projections));
    }

    @Override
    public void weightGradients(
        List<Tensor> dys,
        List<@Nullable Tensor> innerGradients,
        Tensor x,
        List<Projection> projections,
        List<Projection.Gradients> gradients,
        TensorArena scratch) {
      take(scratch, scratchBytes(x.rows(), projections));
    }

    @Override
    public void logits(
        Tensor logits,
        Tensor x,
        Weight head,
        @Nullable Tensor bias,
        @Nullable LowRankTerm update,
        TensorArena scratch) {
      take(scratch, scratchBytes(x.rows(), List.of(new Projection(head, bias, null))));
    }

    @Override
    public long scratchBytes(long rows, List<Projection> projections) {
      return real.matmul().scratchBytes(rows, projections);
    }
  }

  private final class Norm implements NormOps {
    @Override
    public void forward(
        Tensor y, @Nullable Tensor rstd, Tensor x, Tensor weight, float epsilon, float offset) {
      // No scratch.
    }

    @Override
    public void backward(
        Tensor dx,
        @Nullable Tensor dweight,
        Tensor dy,
        @Nullable Tensor residual,
        Tensor x,
        Tensor weight,
        Tensor rstd,
        float offset,
        TensorArena scratch) {
      take(scratch, scratchBytes(rstd.count(), weight.count()));
    }

    @Override
    public long scratchBytes(long rows, long n) {
      return real.norm().scratchBytes(rows, n);
    }
  }

  private final class Attention implements AttentionOps {
    @Override
    public void forward(
        Tensor out,
        Tensor logSumExp,
        Tensor q,
        Tensor k,
        Tensor v,
        Sequences sequences,
        AttentionOps.Config config,
        TensorArena scratch) {
      takeFor(q, k, scratch);
    }

    @Override
    public void backward(
        Tensor dq,
        Tensor dk,
        Tensor dv,
        Tensor dout,
        Tensor q,
        Tensor k,
        Tensor v,
        Tensor out,
        Tensor logSumExp,
        Sequences sequences,
        AttentionOps.Config config,
        TensorArena scratch) {
      takeFor(q, k, scratch);
    }

    private void takeFor(Tensor q, Tensor k, TensorArena scratch) {
      int heads = Math.toIntExact(q.shape().dim(1));
      int keyValueHeads = Math.toIntExact(k.shape().dim(1));
      int headSize = Math.toIntExact(q.shape().dim(2));
      take(scratch, scratchBytes(q.rows(), heads, keyValueHeads, headSize));
    }

    @Override
    public long scratchBytes(long tokens, int heads, int keyValueHeads, int headSize) {
      return real.attention().scratchBytes(tokens, heads, keyValueHeads, headSize);
    }

    @Override
    public Sequences plan(Sequences sequences, Passes passes, TensorArena arena) {
      arena.allocate(DType.U8, Shape.of(planBytes(passes, sequences.count())));
      return sequences;
    }

    @Override
    public long planBytes(Passes passes, int sequences) {
      return real.attention().planBytes(passes, sequences);
    }
  }

  private final class Mlp implements MlpOps {
    @Override
    public boolean backwardWithUpdates(
        Tensor gate,
        Tensor up,
        Tensor dh,
        Activation activation,
        GatedUpdates updates,
        TensorArena scratch) {
      long rank = updates.downA().rows();
      take(scratch, real.mlp().updatesScratchBytes(gate.rows(), gate.cols(), rank));
      // What is done otherwise takes at least as much of everything else.
      return false;
    }

    @Override
    public void forward(Tensor h, Tensor gate, Tensor up, Activation activation) {
      // No scratch.
    }

    @Override
    public void backward(
        Tensor dgate,
        Tensor dup,
        @Nullable Tensor h,
        Tensor dh,
        Tensor gate,
        Tensor up,
        Activation activation) {
      // No scratch.
    }
  }

  private final class Loss implements LossOps {
    @Override
    public void linearCrossEntropy(
        Outputs outputs,
        @Nullable Gradients gradients,
        Tensor hidden,
        Weight head,
        @Nullable Tensor bias,
        @Nullable Update update,
        Targets targets,
        LossOps.Config config,
        TensorArena scratch) {
      int rank = update == null ? 0 : update.term().rank();
      take(scratch, scratchBytes(targets.count(), head, rank, config));
    }

    @Override
    public long scratchBytes(long trainedRows, Weight head, int rank, LossOps.Config config) {
      return real.loss().scratchBytes(trainedRows, head, rank, config);
    }
  }

  private final class Embedding implements EmbeddingOps {
    @Override
    public void gather(Tensor y, Tensor table, Tensor ids, float scale) {
      // No scratch.
    }

    @Override
    public void gatherColumns(Tensor y, Tensor table, Tensor ids, float scale) {
      // No scratch.
    }

    @Override
    public void scatterAddColumns(
        Tensor dtable, Tensor dy, Tensor ids, float scale, TensorArena scratch) {
      take(scratch, scratchBytes(dy.rows(), dy.cols(), dtable.cols()));
    }

    @Override
    public void scatterAdd(Tensor dtable, Tensor dy, Tensor ids, float scale, TensorArena scratch) {
      take(scratch, scratchBytes(dy.rows(), dy.cols(), dtable.rows()));
    }

    @Override
    public long scratchBytes(long tokens, long hidden, long vocabulary) {
      return real.embedding().scratchBytes(tokens, hidden, vocabulary);
    }
  }

  private final class Dora implements DoraOps {
    @Override
    public void inverseNorms(
        Tensor inverse, Weight weight, Projection.Lora lora, TensorArena scratch) {
      take(scratch, scratchBytes(weight));
    }

    @Override
    public void scale(
        Tensor y,
        @Nullable Tensor residual,
        @Nullable Tensor bias,
        Tensor z,
        Tensor magnitude,
        Tensor inverse) {
      // No scratch.
    }

    @Override
    public void magnitudeGradient(
        Tensor dmagnitude, Tensor dy, Tensor z, Tensor inverse, TensorArena scratch) {
      take(scratch, gradientScratchBytes(dmagnitude.count()));
    }

    @Override
    public long gradientScratchBytes(long out) {
      return real.dora().gradientScratchBytes(out);
    }

    @Override
    public long scratchBytes(Weight weight) {
      return real.dora().scratchBytes(weight);
    }
  }

  private static final class Elementwise implements TensorOps {
    @Override
    public void zero(Tensor destination) {
      // No scratch.
    }

    @Override
    public void copy(Tensor destination, Tensor source) {
      // No scratch.
    }

    @Override
    public void add(Tensor destination, Tensor source) {
      // No scratch.
    }

    @Override
    public void subtract(Tensor destination, Tensor source) {
      // No scratch.
    }

    @Override
    public void dropout(Tensor y, Tensor x, Dropout dropout) {
      // No scratch.
    }

    @Override
    public void checkFinite(Tensor flag, Tensor source) {
      // No scratch.
    }

    @Override
    public void addUniformNoise(Tensor destination, float magnitude, Dropout noise) {
      // No scratch.
    }
  }
}
