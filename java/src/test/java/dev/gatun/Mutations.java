package dev.gatun;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/// Damages the bytes of files: cut off, bits flipped, noise, a wild length in front, texts spliced
/// in.
///
/// @param wild texts that are spliced in
/// @param header bytes at the beginning where damage hurts most; three of four mutations lie there
public record Mutations(List<String> wild, int header) {

  /// Bytes that may equal `original`, which is not changed.
  public byte[] mutate(byte[] original, Random random) {
    byte[] bytes = original.clone();
    int reach = random.nextInt(4) == 0 ? bytes.length : Math.min(bytes.length, header);
    switch (random.nextInt(5)) {
      case 0 -> {
        return Arrays.copyOf(bytes, random.nextInt(bytes.length));
      }
      case 1 -> bytes[random.nextInt(reach)] ^= (byte) (1 << random.nextInt(8));
      case 2 -> {
        int from = random.nextInt(reach);
        byte[] noise = new byte[Math.min(16, bytes.length - from)];
        random.nextBytes(noise);
        System.arraycopy(noise, 0, bytes, from, noise.length);
      }
      case 3 -> {
        long length = random.nextBoolean() ? random.nextLong() : random.nextInt(200_000_000);
        if (bytes.length >= 8) {
          ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(0, length);
        }
      }
      case 4 -> {
        byte[] text = wild.get(random.nextInt(wild.size())).getBytes(StandardCharsets.UTF_8);
        int from = random.nextInt(reach);
        return splice(bytes, from, Math.min(bytes.length, from + random.nextInt(12)), text);
      }
      default -> throw new IllegalStateException();
    }
    return bytes;
  }

  /// `bytes` with `text` in place of what stands from `from` to before `to`.
  public static byte[] splice(byte[] bytes, int from, int to, byte[] text) {
    byte[] spliced = new byte[from + text.length + bytes.length - to];
    System.arraycopy(bytes, 0, spliced, 0, from);
    System.arraycopy(text, 0, spliced, from, text.length);
    System.arraycopy(bytes, to, spliced, from + text.length, bytes.length - to);
    return spliced;
  }
}
