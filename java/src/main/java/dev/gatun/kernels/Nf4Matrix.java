package dev.gatun.kernels;

import dev.gatun.cuda.DevicePtr;
import dev.gatun.quant.Nf4Codec;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;

/// A 4-bit NormalFloat weight `[out, in]` in the caller's device memory, laid out as bitsandbytes
/// does: blocks of 64 elements of the flattened matrix share a scale; of two neighbours the even
/// element sits in the high nibble.
///
/// @param packed U8 `[ceil(out*in/2)]`, see [#packedBytes]
public record Nf4Matrix(DevicePtr packed, Scales scales, long out, long in)
    implements WeightMatrix {
  /// The largest magnitude of each block.
  public sealed interface Scales {
    /// One F32 a block.
    ///
    /// @param absmax F32 `[blockCount]`
    record Plain(DevicePtr absmax) implements Scales {}

    /// Double quantisation: `scale = map[code] * absmax + offset`, 256 codes to an absmax.
    ///
    /// @param codes U8 `[blockCount]`
    /// @param absmax F32 `[ceil(blockCount/256)]`
    /// @param map F32 `[256]`, the code book
    /// @param offset the mean of the scales
    record Nested(DevicePtr codes, DevicePtr absmax, DevicePtr map, float offset)
        implements Scales {}
  }

  public Nf4Matrix {
    Require.address(packed, DType.U8);
    if (out <= 0 || in <= 0) {
      throw new IllegalArgumentException("a weight of %d x %d".formatted(out, in));
    }
  }

  /// A weight with one F32 scale a block.
  public static Nf4Matrix plain(DevicePtr packed, DevicePtr absmax, long out, long in) {
    return new Nf4Matrix(packed, new Scales.Plain(absmax), out, in);
  }

  /// Bytes that the packed elements of `[out, in]` take.
  public static long packedBytes(long out, long in) {
    return (Math.multiplyExact(out, in) + 1) / 2;
  }

  /// Number of blocks of `[out, in]`, each with a scale.
  public static long blockCount(long out, long in) {
    return Weight.Nf4.blockCount(Math.multiplyExact(out, in), Nf4Codec.BLOCK);
  }
}
