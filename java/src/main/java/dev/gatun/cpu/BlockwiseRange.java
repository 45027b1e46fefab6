package dev.gatun.cpu;

import dev.gatun.op.OptimizerOps.Blockwise;
import dev.gatun.quant.DynamicMap;
import dev.gatun.tensor.DType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// Reads and writes whole blocks of an 8-bit moment as plain floats.
final class BlockwiseRange {
  private final MemorySegment codes;
  private final Floats absmax;
  private final float[] map;

  BlockwiseRange(Blockwise moment) {
    if (moment.codes().dtype() != DType.U8) {
      throw new UnsupportedOperationException("codes are U8, not " + moment.codes().dtype());
    }
    codes = moment.codes().segment();
    absmax = Floats.of(moment.absmax());
    map = moment.map().toFloats();
  }

  /// Decodes elements `from … from+count-1`.
  ///
  /// @param from a multiple of the block size
  void read(long from, int count, float[] target, Workspace workspace) {
    byte[] bytes = workspace.bytes(count);
    MemorySegment.copy(codes, ValueLayout.JAVA_BYTE, from, bytes, 0, count);
    for (int start = 0; start < count; start += Blockwise.BLOCK) {
      float scale = absmax.at((from + start) / Blockwise.BLOCK);
      int end = Math.min(count, start + Blockwise.BLOCK);
      for (int i = start; i < end; i++) {
        target[i] = map[bytes[i] & 0xFF] * scale;
      }
    }
  }

  /// Encodes elements `from … from+count-1`.
  void write(long from, int count, float[] source, Workspace workspace) {
    byte[] bytes = workspace.bytes(count);
    for (int start = 0; start < count; start += Blockwise.BLOCK) {
      int end = Math.min(count, start + Blockwise.BLOCK);
      float scale = 0;
      for (int i = start; i < end; i++) {
        scale = Math.max(scale, Math.abs(source[i]));
      }
      absmax.set((from + start) / Blockwise.BLOCK, scale);
      // The reciprocal of a subnormal number may be infinite: such a block becomes zero.
      float inverse = scale < Float.MIN_NORMAL ? 0 : 1 / scale;
      for (int i = start; i < end; i++) {
        float scaled = Math.clamp(source[i] * inverse, -1f, 1f);
        bytes[i] = (byte) DynamicMap.nearest(map, scaled);
      }
    }
    MemorySegment.copy(bytes, 0, codes, ValueLayout.JAVA_BYTE, from, count);
  }
}
