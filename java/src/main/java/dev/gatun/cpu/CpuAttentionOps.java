package dev.gatun.cpu;

import dev.gatun.cpu.kernel.Kernels;
import dev.gatun.op.AttentionOps;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.Tensor;

/// Attention by blocks that fit a cache; needs no scratch and no plan.
final class CpuAttentionOps implements AttentionOps {
  private final WorkerPool pool;
  private final Kernels kernels;

  CpuAttentionOps(WorkerPool pool, Kernels kernels) {
    this.pool = pool;
    this.kernels = kernels;
  }

  @Override
  public void forward(
      Tensor out,
      Tensor logSumExp,
      Tensor q,
      Tensor k,
      Tensor v,
      Sequences sequences,
      Config config,
      TensorArena scratch) {
    AttentionCall call = new AttentionCall(q, k, sequences, config);
    AttentionForward forward =
        new AttentionForward(
            call,
            kernels,
            new Rows(out),
            Floats.of(logSumExp),
            new Rows(q),
            new Rows(k),
            new Rows(v));
    // blockStart[s]: query blocks of all sequences before s.
    long[] blockStart = new long[call.sequences + 1];
    for (int s = 0; s < call.sequences; s++) {
      int queries = call.sequence(s).queries();
      blockStart[s + 1] =
          blockStart[s] + (queries + AttentionTile.QUERIES - 1) / AttentionTile.QUERIES;
    }
    pool.run(
        blockStart[call.sequences] * call.keyHeads,
        2,
        (workspace, task) -> {
          long block = task / call.keyHeads;
          int s = sequenceOf(blockStart, block);
          int first = Math.toIntExact(block - blockStart[s]) * AttentionTile.QUERIES;
          forward.run(workspace, call.sequence(s), (int) (task % call.keyHeads), first);
        });
  }

  // The last s with start[s] <= block: sequences without queries own no block.
  private static int sequenceOf(long[] start, long block) {
    int low = 0;
    int high = start.length - 1;
    while (high - low > 1) {
      int middle = (low + high) >>> 1;
      if (start[middle] <= block) {
        low = middle;
      } else {
        high = middle;
      }
    }
    return low;
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
      Config config,
      TensorArena scratch) {
    AttentionCall call = new AttentionCall(q, k, sequences, config);
    AttentionBackward backward =
        new AttentionBackward(
            call,
            kernels,
            new AttentionBackward.Tensors(
                new Rows(dq),
                new Rows(dk),
                new Rows(dv),
                new Rows(dout),
                new Rows(q),
                new Rows(k),
                new Rows(v),
                new Rows(out),
                Floats.of(logSumExp)));
    pool.run(
        (long) call.sequences * call.keyHeads,
        2,
        (workspace, task) ->
            backward.run(
                workspace,
                call.sequence((int) (task / call.keyHeads)),
                (int) (task % call.keyHeads)));
  }

  @Override
  public long scratchBytes(long tokens, int heads, int keyValueHeads, int headSize) {
    return 0;
  }

  @Override
  public Sequences plan(Sequences sequences, Passes passes, TensorArena arena) {
    return sequences;
  }

  @Override
  public long planBytes(Passes passes, int sequences) {
    return 0;
  }
}
