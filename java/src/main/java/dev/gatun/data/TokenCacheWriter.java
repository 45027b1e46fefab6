package dev.gatun.data;

import dev.gatun.io.AtomicFiles;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntFunction;
import java.util.stream.Stream;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.IntVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.complex.ListVector;
import org.apache.arrow.vector.ipc.ArrowFileWriter;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.FieldType;
import org.apache.arrow.vector.types.pojo.Schema;
import tools.jackson.databind.json.JsonMapper;

/// Writes prepared rows as an uncompressed Arrow IPC file, which any Arrow reader opens: lists of
/// int32 `input_ids`, `labels`, `seq_lengths`, `source_numbers`, `source_files` and `fingerprints`
/// (the lower and the upper half of each). The schema's metadata holds the report, the data files'
/// names and a checksum.
final class TokenCacheWriter {
  /// Rows of every record batch but the last.
  static final int BATCH_ROWS = 4096;

  static final String VERSION_KEY = "gatun.version";
  static final String REPORT_KEY = "gatun.report";
  static final String FILES_KEY = "gatun.files";
  static final String UNIT_KEY = "gatun.unit";
  static final String CHECKSUM_KEY = "gatun.checksum";

  /// The columns in order.
  static final List<String> COLUMNS =
      List.of(
          "input_ids", "labels", "seq_lengths", "source_numbers", "fingerprints", "source_files");

  private TokenCacheWriter() {}

  /// @throws dev.gatun.FailureException if the file cannot be written; nothing is left behind
  static void write(Path file, HeapRows rows) {
    Schema schema = schema(rows);
    AtomicFiles.write(file, channel -> write(channel, schema, rows));
  }

  private static void write(FileChannel channel, Schema schema, HeapRows rows) throws IOException {
    try (BufferAllocator allocator = new RootAllocator();
        VectorSchemaRoot root = VectorSchemaRoot.create(schema, allocator);
        ArrowFileWriter writer = new ArrowFileWriter(root, null, new Unclosed(channel))) {
      writer.start();
      for (int from = 0; from < rows.size(); from += BATCH_ROWS) {
        int count = Math.min(BATCH_ROWS, rows.size() - from);
        fill(root, rows, from, count);
        writer.writeBatch();
      }
      writer.end();
    }
  }

  private static void fill(VectorSchemaRoot root, HeapRows rows, int from, int count) {
    root.clear();
    fill((ListVector) root.getVector("input_ids"), i -> rows.inputIds(from + i), count);
    fill((ListVector) root.getVector("labels"), i -> rows.labels(from + i), count);
    fill((ListVector) root.getVector("seq_lengths"), i -> rows.sequenceLengths(from + i), count);
    fill(
        (ListVector) root.getVector("source_numbers"),
        i -> rows.sources().numbers()[from + i],
        count);
    fill(
        (ListVector) root.getVector("fingerprints"),
        i -> split(rows.fingerprints(from + i)),
        count);
    fill((ListVector) root.getVector("source_files"), i -> rows.sourceFiles(from + i), count);
    root.setRowCount(count);
  }

  private static void fill(ListVector list, IntFunction<int[]> values, int count) {
    IntVector child = (IntVector) list.getDataVector();
    list.setInitialCapacity(count);
    list.allocateNew();
    int position = 0;
    for (int i = 0; i < count; i++) {
      int[] row = values.apply(i);
      list.startNewValue(i);
      for (int value : row) {
        child.setSafe(position++, value);
      }
      list.endValue(i, row.length);
    }
    child.setValueCount(position);
    list.setValueCount(count);
  }

  /// The lower and the upper half of each number.
  static int[] split(long[] numbers) {
    int[] halves = new int[2 * numbers.length];
    for (int i = 0; i < numbers.length; i++) {
      halves[2 * i] = (int) numbers[i];
      halves[2 * i + 1] = (int) (numbers[i] >>> 32);
    }
    return halves;
  }

  /// The inverse of [#split].
  static long[] joined(int[] halves) {
    long[] numbers = new long[halves.length / 2];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = Integer.toUnsignedLong(halves[2 * i]) | (long) halves[2 * i + 1] << 32;
    }
    return numbers;
  }

  private static Schema schema(HeapRows rows) {
    JsonMapper json = JsonMapper.shared();
    Map<String, String> metadata = new LinkedHashMap<>();
    metadata.put(VERSION_KEY, TokenCache.VERSION);
    metadata.put(REPORT_KEY, json.writeValueAsString(rows.report()));
    metadata.put(FILES_KEY, json.writeValueAsString(rows.sources().files()));
    metadata.put(UNIT_KEY, rows.sources().unit());
    metadata.put(CHECKSUM_KEY, RowChecksum.of(rows));
    Stream<Field> fields = COLUMNS.stream().map(TokenCacheWriter::field);
    return new Schema(fields.toList(), metadata);
  }

  private static Field field(String name) {
    ArrowType.Int int32 = new ArrowType.Int(32, true);
    FieldType number = FieldType.notNullable(int32);
    FieldType list = FieldType.notNullable(ArrowType.List.INSTANCE);
    return new Field(name, list, List.of(new Field("item", number, null)));
  }

  /// Arrow closes what it writes to, but the file is still to be synced.
  private record Unclosed(FileChannel channel) implements WritableByteChannel {
    @Override
    public int write(ByteBuffer bytes) throws IOException {
      return channel.write(bytes);
    }

    @Override
    public boolean isOpen() {
      return channel.isOpen();
    }

    @Override
    public void close() {
      // The channel's owner closes it.
    }
  }
}
