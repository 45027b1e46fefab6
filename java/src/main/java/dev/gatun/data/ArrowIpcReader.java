package dev.gatun.data;

import dev.gatun.InputException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.apache.arrow.compression.CommonsCompressionFactory;
import org.apache.arrow.flatbuf.Message;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.ipc.ArrowFileReader;
import org.apache.arrow.vector.ipc.ArrowReader;
import org.apache.arrow.vector.ipc.ArrowStreamReader;

/// Opens Arrow IPC files and streams. The framing is checked against the file's size before Arrow
/// allocates anything from it, and the allocator is bounded.
final class ArrowIpcReader {
  private static final long LEAST_LIMIT_BYTES = 1L << 30;
  private static final int EXPANSION = 64;
  private static final int CONTINUATION = -1;
  private static final int PREFIX_BYTES = 8;

  private ArrowIpcReader() {}

  static RowReader open(Path path, boolean isFile) {
    try {
      FileChannel channel = FileChannel.open(path, StandardOpenOption.READ);
      boolean opened = false;
      try {
        if (!isFile) {
          checkStream(path, channel);
        }
        RowReader reader = reader(path, channel, isFile);
        opened = true;
        return reader;
      } finally {
        if (!opened) {
          channel.close();
        }
      }
    } catch (IOException e) {
      throw damaged(path, e);
    }
  }

  private static RowReader reader(Path path, FileChannel channel, boolean isFile)
      throws IOException {
    // Compressed bodies grow; a hostile one must not take the machine's memory.
    long limit = Math.max(LEAST_LIMIT_BYTES, Math.multiplyExact(channel.size(), EXPANSION));
    BufferAllocator allocator = new RootAllocator(limit);
    ArrowReader batches =
        isFile
            ? new ArrowFileReader(channel, allocator, CommonsCompressionFactory.INSTANCE)
            : new ArrowStreamReader(channel, allocator, CommonsCompressionFactory.INSTANCE);
    ArrowRowReader reader = new ArrowRowReader(path.toString(), batches, allocator);
    boolean opened = false;
    try {
      reader.checkSchema();
      opened = true;
      return reader;
    } finally {
      if (!opened) {
        reader.close();
      }
    }
  }

  /// Follows the messages of a stream: a length, metadata, a body.
  private static void checkStream(Path path, FileChannel channel) throws IOException {
    long size = channel.size();
    long position = 0;
    while (position < size) {
      ByteBuffer prefix = read(path, channel, position, PREFIX_BYTES);
      if (prefix.getInt() != CONTINUATION) {
        throw new InputException(
            "%s is damaged: no message begins at byte %d.".formatted(path, position));
      }
      int length = prefix.getInt();
      if (length == 0) {
        break;
      }
      ByteBuffer metadata = read(path, channel, position + PREFIX_BYTES, length);
      long body = bodyLength(path, metadata);
      position += PREFIX_BYTES + length;
      if (body < 0 || body > size - position) {
        throw truncated(path, position);
      }
      position += body;
    }
    channel.position(0);
  }

  private static long bodyLength(Path path, ByteBuffer metadata) {
    try {
      return Message.getRootAsMessage(metadata).bodyLength();
    } catch (IndexOutOfBoundsException e) {
      throw damaged(path, e);
    }
  }

  private static ByteBuffer read(Path path, FileChannel channel, long position, int length)
      throws IOException {
    if (length < 0 || length > channel.size() - position) {
      throw truncated(path, position);
    }
    ByteBuffer bytes = ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
    while (bytes.hasRemaining()) {
      if (channel.read(bytes, position + bytes.position()) < 0) {
        throw truncated(path, position);
      }
    }
    return bytes.flip();
  }

  private static InputException truncated(Path path, long position) {
    return new InputException(
        "%s is cut off or damaged: a message at byte %d reaches beyond the end of the file."
            .formatted(path, position));
  }

  private static InputException damaged(Path path, Exception e) {
    return new InputException(
        "%s is not a readable Arrow file: %s".formatted(path, ArrowRowReader.reason(e)), e);
  }
}
