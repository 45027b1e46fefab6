package dev.gatun.io;

import dev.gatun.FailureException;
import dev.gatun.tensor.Tensor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;

/// A safetensors file written by many threads at once, each to its own places: the layout is known
/// before the first element is.
final class ShardFile {
  private ShardFile() {}

  /// Writes some of the elements.
  interface Task {
    void run(Sink sink) throws IOException;
  }

  /// Where elements go.
  interface Sink {
    /// Writes bytes of a tensor.
    ///
    /// @param from offset within the tensor
    void write(String tensor, long from, ByteBuffer bytes) throws IOException;
  }

  /// Writes a file, atomically, with the metadata that transformers writes.
  ///
  /// @throws FailureException if the file cannot be written
  static void write(
      Path path, Map<String, Tensor> tensors, List<Task> tasks, ExecutorService pool) {
    List<Map.Entry<String, Tensor>> sorted = SafeTensorsWriter.sorted(tensors);
    byte[] header = SafeTensorsWriter.header(sorted, Map.of("format", "pt"));
    Map<String, Long> places = new HashMap<>();
    long place = Long.BYTES + header.length;
    for (Map.Entry<String, Tensor> entry : sorted) {
      places.put(entry.getKey(), place);
      place += entry.getValue().byteSize();
    }
    AtomicFiles.write(
        path,
        channel -> {
          ByteBuffer length = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
          AtomicFiles.writeFully(channel, length.putLong(0, header.length));
          AtomicFiles.writeFully(channel, ByteBuffer.wrap(header));
          runAll(
              tasks,
              (tensor, from, bytes) -> writeAt(channel, bytes, place(places, tensor) + from),
              pool);
        });
  }

  private static long place(Map<String, Long> places, String tensor) {
    Long place = places.get(tensor);
    if (place == null) {
      throw new IllegalArgumentException("no tensor " + tensor + " in this file");
    }
    return place;
  }

  private static void writeAt(FileChannel channel, ByteBuffer bytes, long position)
      throws IOException {
    long at = position;
    while (bytes.hasRemaining()) {
      at += channel.write(bytes, at);
    }
  }

  private static void runAll(List<Task> tasks, Sink sink, ExecutorService pool) throws IOException {
    List<Future<?>> running = new ArrayList<>();
    for (Task task : tasks) {
      running.add(
          pool.submit(() -> {
            task.run(sink);
            return null;
          }));
    }
    try {
      for (Future<?> future : running) {
        future.get();
      }
    } catch (ExecutionException e) {
      throw e.getCause() instanceof IOException io ? io : new IOException(e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new FailureException("writing a checkpoint was interrupted", e);
    } finally {
      running.forEach(future -> future.cancel(false));
    }
  }
}
