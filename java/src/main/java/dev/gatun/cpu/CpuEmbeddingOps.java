package dev.gatun.cpu;

import dev.gatun.op.EmbeddingOps;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.Tensor;

/// Table look-ups. Needs no scratch: gradients are added by column blocks, each in token order.
final class CpuEmbeddingOps implements EmbeddingOps {
  private final Loops loops;

  CpuEmbeddingOps(Loops loops) {
    this.loops = loops;
  }

  @Override
  public void gather(Tensor y, Tensor table, Tensor ids, float scale) {
    Rows target = new Rows(y);
    Rows source = new Rows(table);
    Ints tokens = Ints.of(ids);
    int n = Math.toIntExact(table.cols());
    loops.overRows(
        y.rows(),
        n,
        (workspace, row) -> {
          float[] values = workspace.floats(0, n);
          source.read(checked(tokens.at(row), table.rows()), 0, n, values, 0);
          if (scale != 1) {
            for (int j = 0; j < n; j++) {
              values[j] *= scale;
            }
          }
          target.write(row, 0, n, values, 0);
        });
  }

  @Override
  public void gatherColumns(Tensor y, Tensor table, Tensor ids, float scale) {
    Rows target = new Rows(y);
    Rows source = new Rows(table);
    Ints tokens = Ints.of(ids);
    int n = Math.toIntExact(table.rows());
    loops.overRows(
        y.rows(),
        n,
        (workspace, row) -> {
          float[] values = workspace.floats(0, n);
          int id = checked(tokens.at(row), table.cols());
          for (int r = 0; r < n; r++) {
            source.read(r, id, 1, values, r);
            values[r] *= scale;
          }
          target.write(row, 0, n, values, 0);
        });
  }

  @Override
  public void scatterAddColumns(
      Tensor dtable, Tensor dy, Tensor ids, float scale, TensorArena scratch) {
    Floats target = Floats.of(dtable);
    Rows source = new Rows(dy);
    Ints tokens = Ints.of(ids);
    long vocabulary = dtable.cols();
    loops.overColumnBlocks(
        dy.cols(),
        dy.rows(),
        (workspace, from, count) -> {
          float[] values = workspace.floats(0, count);
          for (long row = 0; row < dy.rows(); row++) {
            int id = checked(tokens.at(row), vocabulary);
            source.read(row, from, count, values, 0);
            for (int j = 0; j < count; j++) {
              long at = (from + j) * vocabulary + id;
              target.set(at, target.at(at) + scale * values[j]);
            }
          }
        });
  }

  private static int checked(int id, long vocabulary) {
    if (id < 0 || id >= vocabulary) {
      throw new IndexOutOfBoundsException("token id " + id + " of a vocabulary of " + vocabulary);
    }
    return id;
  }

  @Override
  public void scatterAdd(Tensor dtable, Tensor dy, Tensor ids, float scale, TensorArena scratch) {
    Rows target = new Rows(dtable);
    Rows source = new Rows(dy);
    Ints tokens = Ints.of(ids);
    loops.overColumnBlocks(
        dy.cols(),
        dy.rows(),
        (workspace, from, count) -> {
          float[] values = workspace.floats(0, count);
          float[] sum = workspace.floats(1, count);
          for (long row = 0; row < dy.rows(); row++) {
            int id = checked(tokens.at(row), dtable.rows());
            source.read(row, from, count, values, 0);
            target.read(id, from, count, sum, 0);
            for (int j = 0; j < count; j++) {
              sum[j] += scale * values[j];
            }
            target.write(id, from, count, sum, 0);
          }
        });
  }

  @Override
  public long scratchBytes(long tokens, long hidden, long vocabulary) {
    return 0;
  }
}
