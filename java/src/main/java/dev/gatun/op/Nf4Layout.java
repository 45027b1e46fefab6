package dev.gatun.op;

import dev.gatun.quant.Absmax;
import dev.gatun.quant.Nf4Codec;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;

/// How much room an NF4 weight takes in an arena, and an unfilled one there for
/// [QuantOps#quantize].
///
/// @param blockSize elements a scale, usually [Nf4Codec#BLOCK]
/// @param nested whether scales are quantised again
/// @param sourceType type of the matrix to be quantised
public record Nf4Layout(long out, long in, int blockSize, boolean nested, DType sourceType) {
  /// Arena bytes, alignment included.
  public long arenaBytes() {
    long blocks = blocks();
    long packed = TensorArena.sizeOf(DType.U8, (Math.multiplyExact(out, in) + 1) / 2);
    return nested
        ? packed
            + TensorArena.sizeOf(DType.U8, blocks)
            + TensorArena.sizeOf(DType.F32, nestedBlocks())
            + TensorArena.sizeOf(DType.F32, 256)
        : packed + TensorArena.sizeOf(DType.F32, blocks);
  }

  /// Tensors of unspecified content, offset 0.
  public Weight.Nf4 allocate(TensorArena arena) {
    var packed = arena.allocate(DType.U8, Shape.of((Math.multiplyExact(out, in) + 1) / 2));
    Absmax absmax =
        nested
            ? new Absmax.Nested(
                arena.allocate(DType.U8, Shape.of(blocks())),
                arena.allocate(DType.F32, Shape.of(nestedBlocks())),
                arena.allocate(DType.F32, Shape.of(256)),
                0,
                Nf4Codec.NESTED_BLOCK)
            : new Absmax.Plain(arena.allocate(DType.F32, Shape.of(blocks())));
    return new Weight.Nf4(packed, absmax, out, in, blockSize, sourceType);
  }

  private long blocks() {
    return Weight.Nf4.blockCount(Math.multiplyExact(out, in), blockSize);
  }

  private long nestedBlocks() {
    return Weight.Nf4.blockCount(blocks(), Nf4Codec.NESTED_BLOCK);
  }
}
