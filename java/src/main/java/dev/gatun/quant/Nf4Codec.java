package dev.gatun.quant;

import java.util.Arrays;

/// 4-bit NormalFloat on the host, bit for bit as bitsandbytes computes it: "QLoRA: Efficient
/// Finetuning of Quantized LLMs" (Dettmers et al., 2023).
///
/// An element is `codebook[nibble] * scale` with one F32 product. Quantisation multiplies by the
/// F32 reciprocal of the block's largest magnitude and counts the midpoints below the result. An
/// all-zero block is nibble 7 (the code of 0), and so is the unused low nibble after an odd count.
public final class Nf4Codec {
  /// Elements that share one scale, unless a checkpoint says otherwise.
  public static final int BLOCK = 64;

  /// Scales that share one scale of their own under double quantisation.
  public static final int NESTED_BLOCK = 256;

  /// The nibble that stands for 0.
  public static final int ZERO_NIBBLE = 7;

  // bitsandbytes never divides scales by less than this.
  private static final float SMALLEST_NESTED_ABSMAX = 1e-38f;

  private static final float[] CODEBOOK = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f
  };
  private static final float[] MIDPOINTS = {
    -0.8480964004993439f,
    -0.6106329262256622f,
    -0.4599952697753906f,
    -0.33967943489551544f,
    -0.23460740596055984f,
    -0.13791173323988914f,
    -0.045525018125772476f,
    0.03979014977812767f,
    0.1202552504837513f,
    0.2035212516784668f,
    0.2920137718319893f,
    0.3893125355243683f,
    0.5016634166240692f,
    0.6427869200706482f,
    0.8614784178118011f
  };

  private Nf4Codec() {}

  /// The 16 values, ascending; a copy.
  public static float[] codebook() {
    return CODEBOOK.clone();
  }

  /// The largest magnitude of `count` values: the scale of a block. NaN stays NaN.
  public static float absmax(float[] values, int from, int count) {
    float largest = 0;
    for (int i = from; i < from + count; i++) {
      largest = Math.max(largest, Math.abs(values[i]));
    }
    return largest;
  }

  /// Writes the nibbles of one block, one a byte.
  ///
  /// @param absmax the block's largest magnitude
  public static void quantizeBlock(
      float[] values, int from, int count, float absmax, byte[] nibbles, int to) {
    if (absmax == 0) {
      Arrays.fill(nibbles, to, to + count, (byte) ZERO_NIBBLE);
      return;
    }
    float reciprocal = 1 / absmax;
    for (int i = 0; i < count; i++) {
      nibbles[to + i] = (byte) nibble(values[from + i] * reciprocal);
    }
  }

  /// The nibble of a value scaled to `[-1, 1]`: how many midpoints lie strictly below it.
  static int nibble(float scaled) {
    int low = scaled > MIDPOINTS[7] ? 8 : 0;
    low += scaled > MIDPOINTS[low + 3] ? 4 : 0;
    low += scaled > MIDPOINTS[low + 1] ? 2 : 0;
    return low + (scaled > MIDPOINTS[low] ? 1 : 0);
  }

  /// Packs `count` nibbles, the even one high; an odd count is filled up with [#ZERO_NIBBLE].
  public static void pack(byte[] nibbles, int count, byte[] packed) {
    for (int i = 0; i < count; i += 2) {
      int low = i + 1 < count ? nibbles[i + 1] : ZERO_NIBBLE;
      packed[i >> 1] = (byte) (nibbles[i] << 4 | low);
    }
  }

  /// The mean that double quantisation subtracts from the scales, to the bit as PyTorch computes
  /// it.
  public static float offset(float[] absmax) {
    return absmax.length == 0 ? 0 : CascadeSum.of(absmax) / absmax.length;
  }

  /// Scales as double quantisation leaves them.
  public static float[] roundedScales(float[] absmax) {
    float offset = offset(absmax);
    byte[] codes = new byte[absmax.length];
    float[] nested = new float[Math.ceilDiv(absmax.length, NESTED_BLOCK)];
    quantizeScales(absmax, offset, codes, nested);
    float[] map = DynamicMap.signed();
    float[] rounded = new float[absmax.length];
    for (int i = 0; i < rounded.length; i++) {
      rounded[i] = map[codes[i] & 0xFF] * nested[i / NESTED_BLOCK] + offset;
    }
    return rounded;
  }

  /// Quantises the scales of a weight again, in blocks of [#NESTED_BLOCK].
  ///
  /// @param offset from [#offset]
  /// @param codes receives one code a scale
  /// @param nestedAbsmax receives one scale a block
  public static void quantizeScales(
      float[] absmax, float offset, byte[] codes, float[] nestedAbsmax) {
    float[] map = DynamicMap.signed();
    for (int block = 0; block < nestedAbsmax.length; block++) {
      int from = block * NESTED_BLOCK;
      int to = Math.min(from + NESTED_BLOCK, absmax.length);
      float largest = SMALLEST_NESTED_ABSMAX;
      for (int i = from; i < to; i++) {
        largest = Math.max(largest, Math.abs(absmax[i] - offset));
      }
      nestedAbsmax[block] = largest;
      float reciprocal = 1 / largest;
      for (int i = from; i < to; i++) {
        codes[i] = (byte) DynamicMap.nearest(map, (absmax[i] - offset) * reciprocal);
      }
    }
  }
}
