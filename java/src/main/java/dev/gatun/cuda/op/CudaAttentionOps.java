package dev.gatun.cuda.op;

import static dev.gatun.cuda.op.DeviceStorage.pointer;

import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.LaunchConfig;
import dev.gatun.op.AttentionOps;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;

/// Launches the attention kernels: a work list, from the sequences' plan or made on the spot, then
/// the pass.
final class CudaAttentionOps implements AttentionOps {
  private static final int SMALLEST_TILE = 64;
  private static final int LARGEST_HEAD = 256;

  private final Launcher launcher;
  private final AttentionLists.Maker lists;
  private final AttentionKernels any;
  private final Map<Integer, AttentionKernels> bySize = new HashMap<>();

  CudaAttentionOps(Launcher launcher) {
    this.launcher = launcher;
    lists = new AttentionLists.Maker(launcher);
    any = AttentionKernels.any(launcher);
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
    if (sequences.count() == 0 || q.rows() == 0) {
      return;
    }
    long mark = scratch.mark();
    Heads heads = Heads.of(q, k);
    AttentionKernels kernels = kernels(heads, out, q, k, v);
    AttentionLists.Key key = new AttentionLists.Key(kernels.forwardTile(), config.window(), false);
    Work work = work(kernels, key, q.rows(), sequences, scratch);
    launcher.launch(
        kernels.forward(),
        geometry(
            kernels,
            work,
            heads.queries(),
            sequences.longestQuery(),
            sequences.count(),
            kernels.shared().forward()),
        new AttentionKernels.Forward(
            pointer(out, DType.BF16, "out"),
            pointer(logSumExp, DType.F32, "logSumExp"),
            pointer(q, DType.BF16, "q"),
            pointer(k, DType.BF16, "k"),
            pointer(v, DType.BF16, "v"),
            work.list(),
            pointer(sequences.queryStart()),
            pointer(sequences.keyStart()),
            pointer(sequences.keyLength()),
            out.rowStride(),
            q.rowStride(),
            k.rowStride(),
            v.rowStride(),
            work.capacity(),
            heads.queries(),
            heads.keys(),
            heads.size(),
            config.window(),
            config.scale(),
            config.softcap()));
    scratch.release(mark);
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
    if (sequences.count() == 0 || q.rows() == 0) {
      return;
    }
    long mark = scratch.mark();
    Heads heads = Heads.of(q, k);
    AttentionKernels kernels = kernels(heads, dq, dk, dv, dout, q, k, v, out);
    Tensor statistics = scratch.allocate(DType.F32, Shape.of(heads.queries(), q.rows(), 2));
    int tile = kernels.backwardTile();
    int window = config.window();
    Work byQuery =
        work(kernels, new AttentionLists.Key(tile, window, false), q.rows(), sequences, scratch);
    launcher.launch(
        kernels.queryGradient(),
        geometry(
            kernels,
            byQuery,
            heads.queries(),
            sequences.longestQuery(),
            sequences.count(),
            kernels.shared().queryGradient()),
        new AttentionKernels.QueryGradient(
            pointer(dq, DType.BF16, "dq"),
            pointer(statistics),
            pointer(dout, DType.BF16, "dout"),
            pointer(q, DType.BF16, "q"),
            pointer(k, DType.BF16, "k"),
            pointer(v, DType.BF16, "v"),
            pointer(out, DType.BF16, "out"),
            pointer(logSumExp, DType.F32, "logSumExp"),
            byQuery.list(),
            pointer(sequences.queryStart()),
            pointer(sequences.keyStart()),
            pointer(sequences.keyLength()),
            dq.rowStride(),
            dout.rowStride(),
            q.rowStride(),
            k.rowStride(),
            v.rowStride(),
            out.rowStride(),
            q.rows(),
            byQuery.capacity(),
            heads.queries(),
            heads.keys(),
            heads.size(),
            config.window(),
            config.scale(),
            config.softcap()));
    Work byKey =
        work(kernels, new AttentionLists.Key(tile, window, true), k.rows(), sequences, scratch);
    launcher.launch(
        kernels.keyGradient(),
        geometry(
            kernels,
            byKey,
            heads.keys() * kernels.keyParts(),
            sequences.longestKey(),
            sequences.count(),
            kernels.shared().keyGradient()),
        new AttentionKernels.KeyGradient(
            pointer(dk, DType.BF16, "dk"),
            pointer(dv, DType.BF16, "dv"),
            pointer(dout),
            pointer(q),
            pointer(k),
            pointer(v),
            pointer(statistics),
            byKey.list(),
            pointer(sequences.queryStart()),
            pointer(sequences.keyStart()),
            pointer(sequences.keyLength()),
            dk.rowStride(),
            dv.rowStride(),
            dout.rowStride(),
            q.rowStride(),
            k.rowStride(),
            v.rowStride(),
            q.rows(),
            byKey.capacity(),
            heads.queries(),
            heads.keys(),
            heads.size(),
            config.window(),
            config.scale(),
            config.softcap()));
    scratch.release(mark);
  }

  @Override
  public long scratchBytes(long tokens, int heads, int keyValueHeads, int headSize) {
    // No more sequences than tokens.
    long list = AttentionLists.byteSize(tokens, SMALLEST_TILE, Math.toIntExact(tokens));
    return TensorArena.sizeOf(DType.F32, heads * tokens * 2) + 2 * list;
  }

  @Override
  public Sequences plan(Sequences sequences, Passes passes, TensorArena arena) {
    Set<AttentionLists.Key> keys = keys(passes);
    return sequences.count() == 0 || keys.isEmpty()
        ? sequences
        : sequences.with(lists.make(keys, sequences, passes, arena));
  }

  @Override
  public long planBytes(Passes passes, int sequences) {
    long bytes = 0;
    for (AttentionLists.Key key : keys(passes)) {
      long rows = key.overKeys() ? passes.keyRows() : passes.queryRows();
      bytes += AttentionLists.byteSize(rows, key.tile(), sequences);
    }
    return bytes;
  }

  /// The lists that passes take; both directions often share that over queries.
  private Set<AttentionLists.Key> keys(Passes passes) {
    Set<AttentionLists.Key> keys = new LinkedHashSet<>();
    if (passes.headSize() % 8 != 0 || passes.headSize() > LARGEST_HEAD) {
      return keys;
    }
    AttentionKernels kernels = kernels(passes.headSize());
    for (int window : passes.windows()) {
      keys.add(new AttentionLists.Key(kernels.forwardTile(), window, false));
      if (passes.backward()) {
        keys.add(new AttentionLists.Key(kernels.backwardTile(), window, false));
        keys.add(new AttentionLists.Key(kernels.backwardTile(), window, true));
      }
    }
    return keys;
  }

  private record Heads(int queries, int keys, int size) {
    static Heads of(Tensor q, Tensor k) {
      int size = Math.toIntExact(q.shape().dim(2));
      if (size > LARGEST_HEAD) {
        throw new UnsupportedOperationException(
            "heads of " + size + " elements; the kernels take up to " + LARGEST_HEAD);
      }
      return new Heads(Math.toIntExact(q.shape().dim(1)), Math.toIntExact(k.shape().dim(1)), size);
    }
  }

  /// A list of tiles on the device; for kernels without one, no list and the number of sequences.
  private record Work(DevicePtr list, int capacity) {}

  private AttentionKernels kernels(Heads heads, Tensor... tensors) {
    return Launcher.vector(heads.size(), tensors) == 1 ? kernels(heads.size()) : any;
  }

  private AttentionKernels kernels(int headSize) {
    return bySize.computeIfAbsent(headSize, size -> AttentionKernels.of(launcher, size));
  }

  private Work work(
      AttentionKernels kernels,
      AttentionLists.Key key,
      long rows,
      Sequences sequences,
      TensorArena scratch) {
    if (kernels.forwardTile() == 0) {
      return new Work(DevicePtr.NULL, sequences.count());
    }
    Tensor list = AttentionLists.planned(sequences, key);
    if (list == null) {
      list = lists.make(key, sequences, rows, scratch);
    }
    return new Work(pointer(list), Math.toIntExact(list.rows()));
  }

  private LaunchConfig geometry(
      AttentionKernels kernels, Work work, int heads, int longest, int sequences, int sharedBytes) {
    if (kernels.forwardTile() == 0) {
      return LaunchConfig.of(1, 128)
          .withGrid(Math.ceilDiv(Math.max(longest, 1), 4), heads, Math.min(sequences, 65535));
    }
    return kernels.geometry(launcher, work.capacity(), heads, sharedBytes);
  }
}
