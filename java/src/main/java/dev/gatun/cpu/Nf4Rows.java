package dev.gatun.cpu;

import dev.gatun.quant.Absmax;
import dev.gatun.quant.Nf4Codec;
import dev.gatun.quant.Weight;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// Rows of an NF4 weight, dequantised while they are read: `codebook[nibble] * scale`, one F32
/// product.
final class Nf4Rows implements RowSource {
  // Both values of a packed byte, high nibble first.
  private static final float[] PAIRS = pairs();

  private final MemorySegment packed;
  private final Scales scales;
  private final long out;
  private final long in;
  private final int blockSize;

  Nf4Rows(Weight.Nf4 weight) {
    packed = weight.packed().segment();
    scales = Scales.of(weight.absmax());
    out = weight.out();
    in = weight.in();
    blockSize = weight.blockSize();
  }

  @Override
  public long rows() {
    return out;
  }

  @Override
  public long cols() {
    return in;
  }

  @Override
  public void read(long row, long from, int count, float[] target, int at) {
    long index = row * in + from;
    long end = index + count;
    while (index < end) {
      long block = index / blockSize;
      int run = (int) (Math.min(end, (block + 1) * blockSize) - index);
      readRun(index, run, scales.of(block), target, at);
      index += run;
      at += run;
    }
  }

  // Elements of one block.
  private void readRun(long index, int count, float scale, float[] target, int at) {
    int i = 0;
    if ((index & 1) != 0) {
      target[at] = PAIRS[2 * pair(index >> 1) + 1] * scale;
      i = 1;
    }
    for (; i + 1 < count; i += 2) {
      int pair = 2 * pair((index + i) >> 1);
      target[at + i] = PAIRS[pair] * scale;
      target[at + i + 1] = PAIRS[pair + 1] * scale;
    }
    if (i < count) {
      target[at + i] = PAIRS[2 * pair((index + i) >> 1)] * scale;
    }
  }

  private int pair(long index) {
    return packed.get(ValueLayout.JAVA_BYTE, index) & 0xFF;
  }

  private static float[] pairs() {
    float[] codebook = Nf4Codec.codebook();
    float[] pairs = new float[512];
    for (int i = 0; i < 256; i++) {
      pairs[2 * i] = codebook[i >> 4];
      pairs[2 * i + 1] = codebook[i & 15];
    }
    return pairs;
  }

  /// The scale of each block, plain or nested.
  private sealed interface Scales {
    float of(long block);

    static Scales of(Absmax absmax) {
      return switch (absmax) {
        case Absmax.Plain plain -> new PlainScales(plain.values().segment());
        case Absmax.Nested nested ->
            new NestedScales(
                nested.codes().segment(),
                nested.absmax().segment(),
                nested.map().toFloats(),
                nested.offset(),
                nested.blockSize());
      };
    }
  }

  private record PlainScales(MemorySegment values) implements Scales {
    @Override
    public float of(long block) {
      return values.get(ValueLayout.JAVA_FLOAT_UNALIGNED, block * 4);
    }
  }

  private record NestedScales(
      MemorySegment codes, MemorySegment absmax, float[] map, float offset, int blockSize)
      implements Scales {
    @Override
    public float of(long block) {
      float scale = absmax.get(ValueLayout.JAVA_FLOAT_UNALIGNED, block / blockSize * 4);
      return map[codes.get(ValueLayout.JAVA_BYTE, block) & 0xFF] * scale + offset;
    }
  }
}
