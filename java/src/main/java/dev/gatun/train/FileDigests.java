package dev.gatun.train;

import dev.gatun.InputException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/// SHA-256 digests of files, in hexadecimal.
final class FileDigests {
  private static final int CHUNK_BYTES = 1 << 20;

  /// Larger files are sampled by [#sampled]: reading all weights again would cost a minute a run.
  private static final long WHOLE_BYTES = 64L << 20;

  private static final int SAMPLES = 256;
  private static final int SAMPLE_BYTES = 64 << 10;

  private FileDigests() {}

  /// Digest of the whole content.
  ///
  /// @throws InputException if the file cannot be read
  static String whole(Path file) {
    MessageDigest digest = sha256();
    try (FileChannel channel = FileChannel.open(file)) {
      update(digest, channel, 0, channel.size());
    } catch (IOException e) {
      throw unreadable(file, e);
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  /// Digest of a text in UTF-8.
  static String of(String text) {
    return HexFormat.of().formatHex(sha256().digest(text.getBytes(StandardCharsets.UTF_8)));
  }

  /// Digest of the size, both ends and evenly spaced pieces of a file too large to read in full;
  /// that of the whole content for others.
  ///
  /// @throws InputException if the file cannot be read
  static String sampled(Path file) {
    try (FileChannel channel = FileChannel.open(file)) {
      long size = channel.size();
      if (size <= WHOLE_BYTES) {
        return whole(file);
      }
      MessageDigest digest = sha256();
      digest.update(ByteBuffer.allocate(8).putLong(0, size));
      long stride = (size - SAMPLE_BYTES) / (SAMPLES - 1);
      for (int i = 0; i < SAMPLES; i++) {
        update(digest, channel, i * stride, SAMPLE_BYTES);
      }
      update(digest, channel, size - SAMPLE_BYTES, SAMPLE_BYTES);
      return "sampled-" + HexFormat.of().formatHex(digest.digest());
    } catch (IOException e) {
      throw unreadable(file, e);
    }
  }

  private static void update(MessageDigest digest, FileChannel channel, long from, long bytes)
      throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate((int) Math.min(CHUNK_BYTES, Math.max(1, bytes)));
    long end = from + bytes;
    long position = from;
    while (position < end) {
      buffer.clear().limit((int) Math.min(buffer.capacity(), end - position));
      int read = channel.read(buffer, position);
      if (read < 0) {
        throw new IOException("it became shorter while it was read");
      }
      digest.update(buffer.flip());
      position += read;
    }
  }

  private static InputException unreadable(Path file, IOException e) {
    return new InputException(
        "%s cannot be read: %s"
            .formatted(file, Files.exists(file) ? e.getMessage() : "it does not exist"),
        e);
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }
}
