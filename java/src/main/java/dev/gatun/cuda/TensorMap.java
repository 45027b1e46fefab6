package dev.gatun.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.gatun.bindings.cuda.Cuda;
import java.lang.foreign.Arena;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;

/// A Hopper tensor map: the 128 opaque bytes that describe a tiled tensor to the tensor memory
/// accelerator. A kernel takes it by value as `const __grid_constant__ CUtensorMap`. Encoding costs
/// about a microsecond on the host: keep the map of a tensor that stays where it is.
///
/// Source: `cuTensorMapEncodeTiled` in the CUDA driver API.
public final class TensorMap {
  /// 128 bytes, aligned to 128.
  static final MemoryLayout LAYOUT =
      MemoryLayout.sequenceLayout(16, JAVA_LONG).withByteAlignment(128);

  private final MemorySegment bytes;
  private final DevicePtr base;
  private final TensorTile tile;

  private TensorMap(MemorySegment bytes, DevicePtr base, TensorTile tile) {
    this.bytes = bytes;
    this.base = base;
    this.tile = tile;
  }

  /// Describes the tensor at `base`, a multiple of 16 bytes.
  ///
  /// @throws IllegalArgumentException if the address is not aligned
  /// @throws CudaException if the driver refuses the description
  public static TensorMap encode(DevicePtr base, TensorTile tile) {
    if (base.isNull() || base.address() % 16 != 0) {
      throw new IllegalArgumentException(
          "a tensor map needs an address that is a multiple of 16, not " + base);
    }
    Driver.initialise();
    MemorySegment map = Arena.ofAuto().allocate(LAYOUT);
    int rank = tile.dimensions().size();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment extents = arena.allocate(JAVA_LONG, rank);
      MemorySegment strides = arena.allocate(JAVA_LONG, rank);
      MemorySegment box = arena.allocate(JAVA_INT, rank);
      MemorySegment steps = arena.allocate(JAVA_INT, rank);
      for (int i = 0; i < rank; i++) {
        TensorTile.Dimension dimension = tile.dimensions().get(i);
        extents.setAtIndex(JAVA_LONG, i, dimension.extent());
        if (i > 0) {
          strides.setAtIndex(JAVA_LONG, i - 1, dimension.strideBytes());
        }
        box.setAtIndex(JAVA_INT, i, dimension.box());
        steps.setAtIndex(JAVA_INT, i, 1);
      }
      int status =
          Cuda.cuTensorMapEncodeTiled(
              map,
              tile.type().code(),
              rank,
              MemorySegment.ofAddress(base.address()),
              extents,
              strides,
              box,
              steps,
              Cuda.CU_TENSOR_MAP_INTERLEAVE_NONE(),
              tile.swizzle().code(),
              Cuda.CU_TENSOR_MAP_L2_PROMOTION_L2_256B(),
              Cuda.CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE());
      Driver.check(status, () -> "cuTensorMapEncodeTiled(address=" + base + ", " + tile + ")");
    }
    return new TensorMap(map, base, tile);
  }

  /// Copies the map to `offset` of an argument block.
  static void write(MemorySegment block, long offset, TensorMap map) {
    MemorySegment.copy(map.bytes, 0, block, offset, LAYOUT.byteSize());
  }

  @Override
  public String toString() {
    return "map of " + base + " " + tile;
  }
}
