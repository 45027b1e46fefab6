package dev.gatun.io;

import dev.gatun.FailureException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import java.util.zip.CRC32C;

/// TensorBoard's event file: records of TensorFlow's `tf.Event` message, each framed as a TFRecord
/// (length, its checksum, message, its checksum). Records are appended whole; readers wait for the
/// rest of one that is under way. The caller closes it.
public final class EventFile implements AutoCloseable {
  private static final int WALL_TIME = 1; // fields of Event
  private static final int STEP = 2;
  private static final int FILE_VERSION = 3;
  private static final int SUMMARY = 5;
  private static final int SESSION_LOG = 7;
  private static final int STATUS = 1; // of SessionLog
  private static final int STATUS_START = 1;
  private static final int VALUE = 1; // of Summary
  private static final int TAG = 1; // of Summary.Value
  private static final int SIMPLE_VALUE = 2;

  private final Path path;
  private final FileChannel channel;

  private EventFile(Path path, FileChannel channel) {
    this.path = path;
    this.channel = channel;
  }

  /// Creates a file and the directories above it.
  ///
  /// @param seconds since 1970
  /// @throws FailureException if it is there already or cannot be written
  public static EventFile create(Path path, double seconds) {
    try {
      Path directory = path.toAbsolutePath().getParent();
      if (directory != null) {
        Files.createDirectories(directory);
      }
      FileChannel channel =
          FileChannel.open(path, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
      EventFile file = new EventFile(path, channel);
      file.append(new Message().fixed(WALL_TIME, seconds).text(FILE_VERSION, "brain.Event:2"));
      return file;
    } catch (IOException e) {
      throw failure(path, e);
    }
  }

  /// Says that what earlier files hold of `step` and after it is void.
  public void start(double seconds, long step) {
    append(
        new Message()
            .fixed(WALL_TIME, seconds)
            .number(STEP, step)
            .message(SESSION_LOG, new Message().number(STATUS, STATUS_START)));
  }

  /// Appends values of one step under their names.
  public void scalars(double seconds, long step, Map<String, Double> values) {
    Message summary = new Message();
    values.forEach((tag, value) ->
        summary.message(
            VALUE, new Message().text(TAG, tag).fixed(SIMPLE_VALUE, value.floatValue())));
    append(new Message().fixed(WALL_TIME, seconds).number(STEP, step).message(SUMMARY, summary));
  }

  private void append(Message message) {
    byte[] data = message.bytes.toByteArray();
    ByteBuffer record =
        ByteBuffer.allocate(Long.BYTES + 2 * Integer.BYTES + data.length)
            .order(ByteOrder.LITTLE_ENDIAN);
    record.putLong(data.length);
    record.putInt(maskedChecksum(record.array(), Long.BYTES));
    record.put(data);
    record.putInt(maskedChecksum(data, data.length));
    try {
      AtomicFiles.writeFully(channel, record.flip());
    } catch (IOException e) {
      throw failure(path, e);
    }
  }

  /// A checksum of data that holds checksums itself, hence the mask.
  private static int maskedChecksum(byte[] data, int length) {
    CRC32C crc = new CRC32C();
    crc.update(data, 0, length);
    return Integer.rotateRight((int) crc.getValue(), 15) + 0xa282ead8;
  }

  private static FailureException failure(Path path, IOException e) {
    return new FailureException(
        "%s cannot be written: %s; check logging_dir and the free disk space"
            .formatted(path, Quoted.reason(e)),
        e);
  }

  @Override
  public void close() {
    try {
      channel.force(true);
      channel.close();
    } catch (IOException e) {
      throw failure(path, e);
    }
  }

  /// Protocol Buffers' encoding. A zero is the default of a number, and is not written.
  private static final class Message {
    private static final int VARINT = 0;
    private static final int FIXED_64 = 1;
    private static final int BYTES = 2;
    private static final int FIXED_32 = 5;

    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

    private void key(int field, int kind) {
      varint(field << 3 | kind);
    }

    private void varint(long value) {
      long rest = value;
      while ((rest & ~0x7FL) != 0) {
        bytes.write((int) (rest & 0x7F | 0x80));
        rest >>>= 7;
      }
      bytes.write((int) rest);
    }

    private void littleEndian(long value, int count) {
      for (int i = 0; i < count; i++) {
        bytes.write((int) (value >>> (8 * i)));
      }
    }

    Message number(int field, long value) {
      if (value != 0) {
        key(field, VARINT);
        varint(value);
      }
      return this;
    }

    Message fixed(int field, double value) {
      key(field, FIXED_64);
      littleEndian(Double.doubleToRawLongBits(value), Long.BYTES);
      return this;
    }

    /// One of several that may be there, written be it zero.
    Message fixed(int field, float value) {
      key(field, FIXED_32);
      littleEndian(Float.floatToRawIntBits(value), Integer.BYTES);
      return this;
    }

    Message text(int field, String text) {
      return raw(field, text.getBytes(StandardCharsets.UTF_8));
    }

    Message message(int field, Message inner) {
      return raw(field, inner.bytes.toByteArray());
    }

    private Message raw(int field, byte[] data) {
      key(field, BYTES);
      varint(data.length);
      bytes.writeBytes(data);
      return this;
    }
  }
}
