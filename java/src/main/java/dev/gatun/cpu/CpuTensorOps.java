package dev.gatun.cpu;

import dev.gatun.op.Dropout;
import dev.gatun.op.TensorOps;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import java.lang.foreign.MemorySegment;

/// Copies, fills and checks.
final class CpuTensorOps implements TensorOps {
  private final Loops loops;

  CpuTensorOps(Loops loops) {
    this.loops = loops;
  }

  @Override
  public void zero(Tensor tensor) {
    if (tensor.isContiguous()) {
      tensor.segment().fill((byte) 0);
      return;
    }
    for (long row = 0; row < tensor.rows(); row++) {
      tensor.rows(row, 1).segment().fill((byte) 0);
    }
  }

  @Override
  public void copy(Tensor destination, Tensor source) {
    requireSameRows(destination, source);
    if (destination.dtype() == source.dtype()) {
      copyBytes(destination, source);
      return;
    }
    Rows target = new Rows(destination);
    Rows values = new Rows(source);
    int n = Math.toIntExact(source.cols());
    loops.overRows(
        source.rows(),
        n,
        (workspace, row) -> {
          float[] buffer = workspace.floats(0, n);
          values.read(row, 0, n, buffer, 0);
          target.write(row, 0, n, buffer, 0);
        });
  }

  private static void copyBytes(Tensor destination, Tensor source) {
    MemorySegment to = destination.segment();
    MemorySegment from = source.segment();
    if (destination.isContiguous() && source.isContiguous()) {
      to.copyFrom(from);
      return;
    }
    int size = source.dtype().bytes();
    long bytes = source.cols() * size;
    for (long row = 0; row < source.rows(); row++) {
      MemorySegment.copy(
          from, row * source.rowStride() * size, to, row * destination.rowStride() * size, bytes);
    }
  }

  private static void requireSameRows(Tensor destination, Tensor source) {
    if (destination.rows() != source.rows() || destination.cols() != source.cols()) {
      throw new IllegalArgumentException(source.shape() + " into " + destination.shape());
    }
  }

  @Override
  public void add(Tensor destination, Tensor source) {
    add(destination, source, 1);
  }

  @Override
  public void subtract(Tensor destination, Tensor source) {
    add(destination, source, -1);
  }

  private void add(Tensor destination, Tensor source, float scale) {
    requireSameRows(destination, source);
    Rows target = new Rows(destination);
    Rows values = new Rows(source);
    int n = Math.toIntExact(source.cols());
    loops.overRows(
        source.rows(),
        n,
        (workspace, row) -> {
          float[] addend = workspace.floats(0, n);
          float[] sum = workspace.floats(1, n);
          values.read(row, 0, n, addend, 0);
          target.read(row, 0, n, sum, 0);
          for (int j = 0; j < n; j++) {
            sum[j] += scale * addend[j];
          }
          target.write(row, 0, n, sum, 0);
        });
  }

  @Override
  public void dropout(Tensor y, Tensor x, Dropout dropout) {
    requireSameRows(y, x);
    DropoutMask mask = new DropoutMask(dropout);
    Rows source = new Rows(x);
    Rows target = new Rows(y);
    int n = Math.toIntExact(x.cols());
    loops.overRows(
        x.rows(),
        n,
        (workspace, row) -> {
          float[] values = workspace.floats(0, n);
          source.read(row, 0, n, values, 0);
          mask.apply(values, row * n, n);
          target.write(row, 0, n, values, 0);
        });
  }

  @Override
  public void checkFinite(Tensor flag, Tensor tensor) {
    Ints result = Ints.of(flag);
    Rows values = new Rows(tensor);
    // Narrowing would turn a large double into an infinity.
    if (tensor.dtype() == DType.F64) {
      throw new UnsupportedOperationException("finiteness of F64");
    }
    int n = Math.toIntExact(tensor.cols());
    boolean[] bad = new boolean[Math.toIntExact(tensor.rows())];
    loops.overRows(
        tensor.rows(),
        n,
        (workspace, row) -> {
          float[] buffer = workspace.floats(0, n);
          values.read(row, 0, n, buffer, 0);
          boolean finite = true;
          for (int j = 0; j < n; j++) {
            finite &= Math.abs(buffer[j]) <= Float.MAX_VALUE;
          }
          bad[(int) row] = !finite;
        });
    for (boolean row : bad) {
      if (row) {
        result.set(0, result.at(0) | 1);
        return;
      }
    }
  }

  @Override
  public void addUniformNoise(Tensor tensor, float magnitude, Dropout noise) {
    DropoutMask generator = new DropoutMask(noise);
    Rows target = new Rows(tensor);
    int n = Math.toIntExact(tensor.cols());
    loops.overRows(
        tensor.rows(),
        n,
        (workspace, row) -> {
          float[] buffer = workspace.floats(0, n);
          target.read(row, 0, n, buffer, 0);
          generator.addUniform(buffer, row * n, n, magnitude);
          target.write(row, 0, n, buffer, 0);
        });
  }
}
