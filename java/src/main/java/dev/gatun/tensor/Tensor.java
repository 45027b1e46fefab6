package dev.gatun.tensor;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// A non-owning view of `shape` elements of `dtype` in `storage`, starting at `byteOffset`.
///
/// Row-major. Every dimension but the first is contiguous; consecutive entries of dimension 0
/// ("rows") lie `rowStride` elements apart, so that the columns of a wider matrix (Q, K and V of
/// one fused projection) are tensors too.
///
/// @param rowStride elements between the starts of two rows; equals `shape.innerCount()` for a
///   contiguous tensor
public record Tensor(Storage storage, long byteOffset, DType dtype, Shape shape, long rowStride) {

  public Tensor {
    long rows = shape.rank() == 0 ? 1 : shape.dim(0);
    long inner = shape.rank() == 0 ? 1 : shape.innerCount();
    if (rowStride < inner && rows > 1) {
      throw new IllegalArgumentException("row stride " + rowStride + " below row size " + inner);
    }
    long elements = rows == 0 || inner == 0 ? 0 : (rows - 1) * rowStride + inner;
    if (byteOffset < 0 || byteOffset + elements * dtype.bytes() > storage.byteSize()) {
      throw new IllegalArgumentException(
          dtype
              + " "
              + shape
              + " at byte "
              + byteOffset
              + " exceeds its storage of "
              + storage.byteSize()
              + " bytes");
    }
  }

  /// A contiguous view.
  public static Tensor of(Storage storage, long byteOffset, DType dtype, Shape shape) {
    return new Tensor(
        storage, byteOffset, dtype, shape, shape.rank() == 0 ? 1 : shape.innerCount());
  }

  /// A zero-filled host tensor whose memory lives as long as `arena`.
  public static Tensor allocate(Arena arena, DType dtype, Shape shape) {
    long bytes = Math.multiplyExact(shape.count(), dtype.bytes());
    return of(new HostStorage(arena.allocate(Math.max(bytes, 1), 64)), 0, dtype, shape);
  }

  /// A host tensor over a copy of `values`, kept alive by the garbage collector.
  public static Tensor ofFloats(Shape shape, float... values) {
    if (shape.count() != values.length) {
      throw new IllegalArgumentException(values.length + " values for shape " + shape);
    }
    Tensor tensor = allocate(Arena.ofAuto(), DType.F32, shape);
    MemorySegment.copy(values, 0, tensor.segment(), ValueLayout.JAVA_FLOAT, 0, values.length);
    return tensor;
  }

  /// A host tensor of a floating type over `values` rounded to it, kept alive by the garbage
  /// collector.
  public static Tensor ofRounded(DType dtype, Shape shape, float... values) {
    if (shape.count() != values.length || !dtype.isFloating()) {
      throw new IllegalArgumentException(values.length + " values for " + dtype + " " + shape);
    }
    Tensor tensor = allocate(Arena.ofAuto(), dtype, shape);
    MemorySegment memory = tensor.segment();
    for (int i = 0; i < values.length; i++) {
      switch (dtype) {
        case F64 -> memory.setAtIndex(ValueLayout.JAVA_DOUBLE, i, values[i]);
        case BF16 -> memory.setAtIndex(ValueLayout.JAVA_SHORT, i, Bf16.of(values[i]));
        case F16 -> memory.setAtIndex(ValueLayout.JAVA_SHORT, i, Float.floatToFloat16(values[i]));
        case F32, I64, I32, I16, I8, U8, BOOL ->
            memory.setAtIndex(ValueLayout.JAVA_FLOAT, i, values[i]);
      }
    }
    return tensor;
  }

  /// A U8 host tensor over a copy of `values`, kept alive by the garbage collector.
  public static Tensor ofBytes(Shape shape, byte... values) {
    if (shape.count() != values.length) {
      throw new IllegalArgumentException(values.length + " values for shape " + shape);
    }
    Tensor tensor = allocate(Arena.ofAuto(), DType.U8, shape);
    MemorySegment.copy(values, 0, tensor.segment(), ValueLayout.JAVA_BYTE, 0, values.length);
    return tensor;
  }

  /// A host tensor over a copy of `values`, kept alive by the garbage collector.
  public static Tensor ofInts(Shape shape, int... values) {
    if (shape.count() != values.length) {
      throw new IllegalArgumentException(values.length + " values for shape " + shape);
    }
    Tensor tensor = allocate(Arena.ofAuto(), DType.I32, shape);
    MemorySegment.copy(values, 0, tensor.segment(), ValueLayout.JAVA_INT, 0, values.length);
    return tensor;
  }

  /// A host tensor over a copy of `values`, kept alive by the garbage collector.
  public static Tensor ofLongs(Shape shape, long... values) {
    if (shape.count() != values.length) {
      throw new IllegalArgumentException(values.length + " values for shape " + shape);
    }
    Tensor tensor = allocate(Arena.ofAuto(), DType.I64, shape);
    MemorySegment.copy(values, 0, tensor.segment(), ValueLayout.JAVA_LONG, 0, values.length);
    return tensor;
  }

  /// Size of dimension 0; 1 for a scalar.
  public long rows() {
    return shape.rank() == 0 ? 1 : shape.dim(0);
  }

  /// Elements in a row: the product of all dimensions but the first.
  public long cols() {
    return shape.rank() == 0 ? 1 : shape.innerCount();
  }

  public long count() {
    return shape.count();
  }

  /// Bytes of the elements, without the gaps between strided rows.
  public long byteSize() {
    return count() * dtype.bytes();
  }

  public boolean isContiguous() {
    return rowStride == cols() || rows() <= 1;
  }

  /// Rows `from .. from+rows-1`.
  public Tensor rows(long from, long rows) {
    checkRange(from, rows, rows(), "rows");
    long[] dims = shape.toArray();
    dims[0] = rows;
    return new Tensor(
        storage, byteOffset + from * rowStride * dtype.bytes(), dtype, Shape.of(dims), rowStride);
  }

  /// Columns `from .. from+cols-1` of every row, as a matrix `[rows, cols]`.
  public Tensor columns(long from, long cols) {
    checkRange(from, cols, cols(), "columns");
    return new Tensor(
        storage, byteOffset + from * dtype.bytes(), dtype, Shape.of(rows(), cols), rowStride);
  }

  /// The same elements under another shape. A strided tensor must keep its first dimension.
  public Tensor reshape(long... dims) {
    Shape target = Shape.of(dims);
    if (target.count() != count()) {
      throw new IllegalArgumentException("cannot view " + shape + " as " + target);
    }
    if (isContiguous()) {
      return of(storage, byteOffset, dtype, target);
    }
    if (target.rank() == 0 || target.dim(0) != rows()) {
      throw new IllegalArgumentException(
          "a strided tensor keeps its rows: " + shape + " as " + target);
    }
    return new Tensor(storage, byteOffset, dtype, target, rowStride);
  }

  /// The host memory from the first to the last element.
  ///
  /// @throws IllegalStateException if the tensor is not in host memory
  public MemorySegment segment() {
    if (!(storage instanceof HostStorage host)) {
      throw new IllegalStateException(dtype + " " + shape + " is not in host memory");
    }
    long elements = count() == 0 ? 0 : (rows() - 1) * rowStride + cols();
    return host.segment().asSlice(byteOffset, elements * dtype.bytes());
  }

  /// All elements of a host tensor as floats, row by row; F32, F16, BF16 and F64 only.
  public float[] toFloats() {
    MemorySegment memory = segment();
    float[] values = new float[Math.toIntExact(count())];
    int cols = Math.toIntExact(cols());
    for (int i = 0; i < values.length; i++) {
      long index = i / cols * rowStride + i % cols;
      values[i] =
          switch (dtype) {
            case F32 -> memory.get(ValueLayout.JAVA_FLOAT_UNALIGNED, index * 4);
            case F64 -> (float) memory.get(ValueLayout.JAVA_DOUBLE_UNALIGNED, index * 8);
            case BF16 -> Bf16.toFloat(memory.get(ValueLayout.JAVA_SHORT_UNALIGNED, index * 2));
            case F16 ->
                Float.float16ToFloat(memory.get(ValueLayout.JAVA_SHORT_UNALIGNED, index * 2));
            case I64, I32, I16, I8, U8, BOOL ->
                throw new IllegalStateException(dtype + " holds no floats");
          };
    }
    return values;
  }

  /// All elements of a contiguous host tensor as ints; U8, I32, and I64 within the range of an int.
  public int[] toInts() {
    if (!isContiguous()) {
      throw new IllegalStateException(dtype + " " + shape + " is not contiguous");
    }
    MemorySegment memory = segment();
    int[] values = new int[Math.toIntExact(count())];
    for (int i = 0; i < values.length; i++) {
      values[i] =
          switch (dtype) {
            case U8 -> memory.get(ValueLayout.JAVA_BYTE, i) & 0xFF;
            case I32 -> memory.get(ValueLayout.JAVA_INT_UNALIGNED, i * 4L);
            case I64 -> Math.toIntExact(memory.get(ValueLayout.JAVA_LONG_UNALIGNED, i * 8L));
            case F64, F32, F16, BF16, I16, I8, BOOL ->
                throw new IllegalStateException(dtype + " holds no ints");
          };
    }
    return values;
  }

  private static void checkRange(long from, long size, long limit, String what) {
    if (from < 0 || size < 0 || from + size > limit) {
      throw new IndexOutOfBoundsException(what + " " + from + "+" + size + " of " + limit);
    }
  }
}
