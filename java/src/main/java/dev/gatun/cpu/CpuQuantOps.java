package dev.gatun.cpu;

import dev.gatun.op.QuantOps;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Absmax;
import dev.gatun.quant.DynamicMap;
import dev.gatun.quant.Nf4Codec;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// NF4 on the host through [Nf4Codec]. Needs no scratch.
final class CpuQuantOps implements QuantOps {
  // Elements a task quantises: an even number of blocks, so that tasks never share a byte.
  private static final int BLOCKS_PER_TASK = 256;
  private static final int SLOT_VALUES = 0;

  private final WorkerPool pool;

  CpuQuantOps(WorkerPool pool) {
    this.pool = pool;
  }

  @Override
  public Weight.Nf4 quantize(Weight.Nf4 destination, Tensor source, TensorArena scratch) {
    long count = destination.out() * destination.in();
    if (source.count() != count || !source.isContiguous()) {
      throw new IllegalArgumentException(
          "cannot quantise "
              + source.shape()
              + " into "
              + destination.out()
              + " x "
              + destination.in());
    }
    float[] absmax = new float[Math.toIntExact(destination.absmax().count())];
    Rows values = new Rows(source.reshape(1, count));
    MemorySegment packed = destination.packed().segment();
    long taskSize = (long) BLOCKS_PER_TASK * destination.blockSize();
    pool.run(
        (count + taskSize - 1) / taskSize,
        1,
        (workspace, task) ->
            quantizeBlocks(values, packed, absmax, destination.blockSize(), task, workspace));
    return switch (destination.absmax()) {
      case Absmax.Plain plain -> {
        MemorySegment.copy(
            absmax,
            0,
            plain.values().segment(),
            ValueLayout.JAVA_FLOAT_UNALIGNED,
            0,
            absmax.length);
        yield destination;
      }
      case Absmax.Nested nested -> withScales(destination, nested, absmax);
    };
  }

  private static void quantizeBlocks(
      Rows values,
      MemorySegment packed,
      float[] absmax,
      int blockSize,
      long task,
      Workspace workspace) {
    long first = task * BLOCKS_PER_TASK * blockSize;
    int count = (int) Math.min((long) BLOCKS_PER_TASK * blockSize, values.cols() - first);
    float[] row = workspace.floats(SLOT_VALUES, count);
    values.read(0, first, count, row, 0);
    byte[] nibbles = workspace.bytes(2 * count + 2);
    for (int from = 0; from < count; from += blockSize) {
      int size = Math.min(blockSize, count - from);
      float largest = Nf4Codec.absmax(row, from, size);
      absmax[(int) ((first + from) / blockSize)] = largest;
      Nf4Codec.quantizeBlock(row, from, size, largest, nibbles, from);
    }
    byte[] bytes = new byte[(count + 1) / 2];
    Nf4Codec.pack(nibbles, count, bytes);
    MemorySegment.copy(bytes, 0, packed, ValueLayout.JAVA_BYTE, first / 2, bytes.length);
  }

  private static Weight.Nf4 withScales(
      Weight.Nf4 destination, Absmax.Nested nested, float[] absmax) {
    if (nested.blockSize() != Nf4Codec.NESTED_BLOCK) {
      throw new UnsupportedOperationException(
          "double quantisation in blocks of " + nested.blockSize());
    }
    float offset = Nf4Codec.offset(absmax);
    byte[] codes = new byte[absmax.length];
    float[] nestedAbsmax = new float[Math.toIntExact(nested.absmax().count())];
    Nf4Codec.quantizeScales(absmax, offset, codes, nestedAbsmax);
    MemorySegment.copy(codes, 0, nested.codes().segment(), ValueLayout.JAVA_BYTE, 0, codes.length);
    MemorySegment.copy(
        nestedAbsmax,
        0,
        nested.absmax().segment(),
        ValueLayout.JAVA_FLOAT_UNALIGNED,
        0,
        nestedAbsmax.length);
    MemorySegment.copy(
        DynamicMap.signed(), 0, nested.map().segment(), ValueLayout.JAVA_FLOAT_UNALIGNED, 0, 256);
    return new Weight.Nf4(
        destination.packed(),
        new Absmax.Nested(
            nested.codes(), nested.absmax(), nested.map(), offset, nested.blockSize()),
        destination.out(),
        destination.in(),
        destination.blockSize(),
        destination.sourceType());
  }

  @Override
  public void dequantize(Tensor y, Weight weight) {
    if (y.rows() != weight.out() || y.cols() != weight.in()) {
      throw new IllegalArgumentException(
          y.shape() + " for a weight of " + weight.out() + " x " + weight.in());
    }
    RowSource source = RowSource.of(weight);
    Rows target = new Rows(y);
    int cols = Math.toIntExact(weight.in());
    pool.run(
        weight.out(),
        Math.max(1, 65536 / Math.max(1, cols)),
        (workspace, row) -> {
          float[] values = workspace.floats(SLOT_VALUES, cols);
          source.read(row, 0, cols, values, 0);
          target.write(row, 0, cols, values, 0);
        });
  }
}
