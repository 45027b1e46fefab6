package dev.gatun.cuda;

import dev.gatun.bindings.cuda.Cuda;
import java.util.List;

/// The shape of a tensor and of the tile that the tensor memory accelerator moves at a time.
/// Elements outside the tensor read as zero.
///
/// @param dimensions from the innermost (contiguous) one outwards, 1 to 5
/// @param swizzle how the tile's rows are permuted in shared memory to avoid bank conflicts
public record TensorTile(ElementType type, List<Dimension> dimensions, Swizzle swizzle) {

  /// One dimension.
  ///
  /// @param extent elements in the tensor
  /// @param strideBytes from one element to the next; for the innermost dimension the element size,
  ///   else a multiple of 16
  /// @param box elements in the tile, 1 to 256
  public record Dimension(long extent, long strideBytes, int box) {}

  /// Element types of our kernels' tiles.
  public enum ElementType {
    BF16(2),
    U8(1);

    private final int bytes;

    ElementType(int bytes) {
      this.bytes = bytes;
    }

    public int bytes() {
      return bytes;
    }

    int code() {
      return switch (this) {
        case BF16 -> Cuda.CU_TENSOR_MAP_DATA_TYPE_BFLOAT16();
        case U8 -> Cuda.CU_TENSOR_MAP_DATA_TYPE_UINT8();
      };
    }
  }

  /// The span in bytes within which 16-byte units are permuted; a tile's row must fit into it.
  public enum Swizzle {
    NONE(Integer.MAX_VALUE),
    B32(32),
    B64(64),
    B128(128);

    private final int spanBytes;

    Swizzle(int spanBytes) {
      this.spanBytes = spanBytes;
    }

    int code() {
      return switch (this) {
        case NONE -> Cuda.CU_TENSOR_MAP_SWIZZLE_NONE();
        case B32 -> Cuda.CU_TENSOR_MAP_SWIZZLE_32B();
        case B64 -> Cuda.CU_TENSOR_MAP_SWIZZLE_64B();
        case B128 -> Cuda.CU_TENSOR_MAP_SWIZZLE_128B();
      };
    }
  }

  public TensorTile {
    dimensions = List.copyOf(dimensions);
    int rank = dimensions.size();
    require(rank >= 1 && rank <= 5, "rank must be 1 to 5, not " + rank);
    for (Dimension d : dimensions) {
      require(d.extent() >= 1 && d.extent() <= 1L << 32, "extent must be 1 to 2^32: " + d);
      require(d.box() >= 1 && d.box() <= 256, "box must be 1 to 256: " + d);
    }
    for (Dimension d : dimensions.subList(1, rank)) {
      require(
          d.strideBytes() > 0 && d.strideBytes() % 16 == 0 && d.strideBytes() < 1L << 40,
          "outer strides must be multiples of 16 bytes below 2^40: " + d);
    }
    Dimension inner = dimensions.getFirst();
    require(inner.strideBytes() == type.bytes(), "the innermost dimension must be contiguous");
    int rowBytes = inner.box() * type.bytes();
    require(rowBytes % 16 == 0, "a tile's row must be a multiple of 16 bytes, not " + rowBytes);
    require(
        rowBytes <= swizzle.spanBytes,
        "a tile's row of " + rowBytes + " bytes is longer than the swizzle " + swizzle);
  }

  /// A tile of `boxRows` x `boxColumns` of a row-major matrix `[rows, columns]` whose rows are
  /// `strideElements` apart.
  public static TensorTile matrix(
      ElementType type, Matrix matrix, int boxRows, int boxColumns, Swizzle swizzle) {
    return new TensorTile(
        type,
        List.of(
            new Dimension(matrix.columns(), type.bytes(), boxColumns),
            new Dimension(matrix.rows(), matrix.strideElements() * type.bytes(), boxRows)),
        swizzle);
  }

  /// The extents of a row-major matrix.
  public record Matrix(long rows, long columns, long strideElements) {}

  private static void require(boolean holds, String otherwise) {
    if (!holds) {
      throw new IllegalArgumentException("tensor tile: " + otherwise);
    }
  }
}
