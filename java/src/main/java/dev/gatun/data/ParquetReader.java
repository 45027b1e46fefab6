package dev.gatun.data;

import dev.gatun.FailureException;
import dev.gatun.InputException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayDeque;
import java.util.Deque;
import org.apache.arrow.dataset.file.FileFormat;
import org.apache.arrow.dataset.file.FileSystemDatasetFactory;
import org.apache.arrow.dataset.jni.NativeMemoryPool;
import org.apache.arrow.dataset.scanner.ScanOptions;
import org.apache.arrow.dataset.scanner.Scanner;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.ipc.ArrowReader;

/// Reads Parquet through Arrow's dataset library, the only class that does. The footer is checked
/// before native code sees the file.
final class ParquetReader {
  private static final int BATCH_ROWS = 4096;
  private static final int MAGIC_BYTES = 4;
  private static final int TAIL_BYTES = 8;

  private ParquetReader() {}

  static RowReader open(Path path) {
    checkFooter(path);
    Resources resources = new Resources();
    boolean opened = false;
    try {
      ArrowReader batches = scan(path, resources);
      RowReader reader = new ArrowRowReader(path.toString(), batches, resources);
      opened = true;
      return reader;
    } catch (LinkageError e) {
      throw new FailureException(
          "%s: this installation has no Parquet library for this platform; convert the file to .jsonl"
                  .formatted(path)
              + " or .arrow.",
          e);
    } catch (RuntimeException e) {
      throw new InputException(
          "%s is not a readable Parquet file: %s".formatted(path, ArrowRowReader.reason(e)), e);
    } finally {
      if (!opened) {
        resources.close();
      }
    }
  }

  private static ArrowReader scan(Path path, Resources resources) {
    RootAllocator allocator = resources.own(new RootAllocator());
    FileSystemDatasetFactory factory =
        resources.own(
            new FileSystemDatasetFactory(
                allocator,
                NativeMemoryPool.getDefault(),
                FileFormat.PARQUET,
                path.toUri().toString()));
    org.apache.arrow.dataset.source.Dataset dataset = resources.own(factory.finish());
    Scanner scanner = resources.own(dataset.newScan(new ScanOptions(BATCH_ROWS)));
    return scanner.scanBatches();
  }

  /// `PAR1 … footer, footer length (4 bytes), PAR1`.
  private static void checkFooter(Path path) {
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      long size = channel.size();
      if (size < MAGIC_BYTES + TAIL_BYTES) {
        throw new InputException(path + " is too short for a Parquet file.");
      }
      ByteBuffer tail = ByteBuffer.allocate(TAIL_BYTES).order(ByteOrder.LITTLE_ENDIAN);
      while (tail.hasRemaining()) {
        if (channel.read(tail, size - TAIL_BYTES + tail.position()) < 0) {
          throw new InputException(path + " shrank while it was read.");
        }
      }
      int footerLength = tail.flip().getInt();
      String magic = StandardCharsets.ISO_8859_1.decode(tail).toString();
      if (magic.equals("PARE")) {
        throw new InputException(path + " is encrypted, which is not supported.");
      }
      if (!magic.equals("PAR1")) {
        throw new InputException(path + " is cut off or damaged: it does not end with PAR1.");
      }
      if (footerLength <= 0 || footerLength > size - MAGIC_BYTES - TAIL_BYTES) {
        throw new InputException(
            "%s is damaged: its footer length %d does not fit into %d bytes."
                .formatted(path, footerLength, size));
      }
    } catch (IOException e) {
      throw new InputException(path + " cannot be read: " + e.getMessage(), e);
    }
  }

  /// Closes in reverse order.
  private static final class Resources implements AutoCloseable {
    private final Deque<AutoCloseable> owned = new ArrayDeque<>();

    <T extends AutoCloseable> T own(T resource) {
      owned.push(resource);
      return resource;
    }

    @Override
    public void close() {
      while (!owned.isEmpty()) {
        try {
          owned.pop().close();
        } catch (Exception e) {
          throw new FailureException("A Parquet reader cannot be closed: " + e.getMessage(), e);
        }
      }
    }
  }
}
