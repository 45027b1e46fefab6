package dev.gatun.cpu;

import dev.gatun.tensor.Bf16;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// Reads and writes pieces of a floating tensor's rows as `float`, whatever its element type, so
/// that every loop runs over plain arrays, which the compiler vectorises. Mapped files may be
/// unaligned.
final class Rows implements RowSource {
  private final MemorySegment memory;
  private final DType dtype;
  private final int bytes;
  private final long rows;
  private final long cols;
  private final long stride;
  private final long perStride;

  Rows(Tensor tensor) {
    this(tensor, tensor.rows(), tensor.cols());
  }

  private Rows(Tensor tensor, long rows, long cols) {
    if (!tensor.dtype().isFloating()) {
      throw new IllegalArgumentException(
          tensor.dtype() + " " + tensor.shape() + " where a floating tensor is expected");
    }
    memory = tensor.segment();
    dtype = tensor.dtype();
    bytes = dtype.bytes();
    this.rows = rows;
    this.cols = cols;
    stride = tensor.rowStride() * bytes;
    perStride = cols == 0 ? 1 : Math.max(1, tensor.cols() / cols);
  }

  /// The tensor as a matrix whose rows are the vectors of its last dimension.
  static Rows ofVectors(Tensor tensor) {
    long n = tensor.shape().rank() == 0 ? 1 : tensor.shape().dim(-1);
    return new Rows(tensor, n == 0 ? 0 : tensor.count() / n, n);
  }

  DType dtype() {
    return dtype;
  }

  @Override
  public long rows() {
    return rows;
  }

  @Override
  public long cols() {
    return cols;
  }

  @Override
  public void read(long row, long from, int count, float[] target, int at) {
    long offset = offset(row, from);
    switch (dtype) {
      case F32 ->
          MemorySegment.copy(memory, ValueLayout.JAVA_FLOAT_UNALIGNED, offset, target, at, count);
      case BF16 -> {
        for (int i = 0; i < count; i++) {
          target[at + i] =
              Bf16.toFloat(memory.get(ValueLayout.JAVA_SHORT_UNALIGNED, offset + 2L * i));
        }
      }
      case F16 -> {
        for (int i = 0; i < count; i++) {
          target[at + i] =
              Float.float16ToFloat(memory.get(ValueLayout.JAVA_SHORT_UNALIGNED, offset + 2L * i));
        }
      }
      case F64 -> {
        for (int i = 0; i < count; i++) {
          target[at + i] = (float) memory.get(ValueLayout.JAVA_DOUBLE_UNALIGNED, offset + 8L * i);
        }
      }
      case I64, I32, I16, I8, U8, BOOL -> throw new IllegalStateException(dtype.toString());
    }
  }

  /// Rounds `count` values to the element type and writes them to `row`, starting at column `from`.
  void write(long row, long from, int count, float[] source, int at) {
    long offset = offset(row, from);
    switch (dtype) {
      case F32 ->
          MemorySegment.copy(source, at, memory, ValueLayout.JAVA_FLOAT_UNALIGNED, offset, count);
      case BF16 -> {
        for (int i = 0; i < count; i++) {
          memory.set(ValueLayout.JAVA_SHORT_UNALIGNED, offset + 2L * i, Bf16.of(source[at + i]));
        }
      }
      case F16 -> {
        for (int i = 0; i < count; i++) {
          memory.set(
              ValueLayout.JAVA_SHORT_UNALIGNED,
              offset + 2L * i,
              Float.floatToFloat16(source[at + i]));
        }
      }
      case F64 -> {
        for (int i = 0; i < count; i++) {
          memory.set(ValueLayout.JAVA_DOUBLE_UNALIGNED, offset + 8L * i, source[at + i]);
        }
      }
      case I64, I32, I16, I8, U8, BOOL -> throw new IllegalStateException(dtype.toString());
    }
  }

  private long offset(long row, long from) {
    return perStride == 1
        ? row * stride + from * bytes
        : row / perStride * stride + (row % perStride * cols + from) * bytes;
  }
}
