package dev.gatun.data;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.arrow.flatbuf.Block;
import org.apache.arrow.flatbuf.Buffer;
import org.apache.arrow.flatbuf.Footer;
import org.apache.arrow.flatbuf.KeyValue;
import org.apache.arrow.flatbuf.Message;
import org.apache.arrow.flatbuf.RecordBatch;
import org.apache.arrow.flatbuf.Schema;

/// Where things are in a cache file: Arrow IPC format, "File format" in the Arrow columnar
/// specification.
///
/// @param metadata the schema's
/// @param batches the record batches
record MappedFooter(Map<String, String> metadata, List<Batch> batches) {
  private static final byte[] MAGIC = "ARROW1".getBytes(StandardCharsets.US_ASCII);
  private static final int PREFIX_BYTES = 8;

  /// Buffers of a batch: two for every column, and two for its child.
  private static final int BUFFERS = 4 * TokenCacheWriter.COLUMNS.size();

  private static final ValueLayout.OfInt INT32 =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /// A part of the file.
  record Range(long offset, long length) {}

  /// A record batch.
  ///
  /// @param rows number of rows
  /// @param buffers its buffers, as parts of the file
  record Batch(int rows, List<Range> buffers) {}

  static MappedFooter read(MemorySegment file) throws CacheDamagedException {
    long end = file.byteSize() - MAGIC.length;
    MemorySegment magic = MemorySegment.ofArray(MAGIC);
    if (end < PREFIX_BYTES + Integer.BYTES || file.asSlice(end).mismatch(magic) >= 0) {
      throw new CacheDamagedException("it is cut off");
    }
    long length = file.get(INT32, end - Integer.BYTES);
    Footer footer = Footer.getRootAsFooter(bytes(file, end - Integer.BYTES - length, length));
    Schema schema = footer.schema();
    if (schema == null) {
      throw new CacheDamagedException("it has no schema");
    }
    Map<String, String> metadata = new HashMap<>();
    for (int i = 0; i < schema.customMetadataLength(); i++) {
      KeyValue entry = schema.customMetadata(i);
      metadata.put(entry.key(), entry.value());
    }
    List<Batch> batches = new ArrayList<>();
    for (int i = 0; i < footer.recordBatchesLength(); i++) {
      batches.add(batch(file, footer.recordBatches(i)));
    }
    return new MappedFooter(metadata, batches);
  }

  private static Batch batch(MemorySegment file, Block block) throws CacheDamagedException {
    long metadataLength = block.metaDataLength() - (long) PREFIX_BYTES;
    Message message =
        Message.getRootAsMessage(bytes(file, block.offset() + PREFIX_BYTES, metadataLength));
    if (!(message.header(new RecordBatch()) instanceof RecordBatch batch)
        || batch.buffersLength() != BUFFERS
        || batch.length() < 0
        || batch.length() > TokenCacheWriter.BATCH_ROWS) {
      throw new CacheDamagedException("a record batch has another layout");
    }
    long body = block.offset() + block.metaDataLength();
    List<Range> buffers = new ArrayList<>();
    for (int i = 0; i < BUFFERS; i++) {
      Buffer buffer = batch.buffers(i);
      buffers.add(new Range(Math.addExact(body, buffer.offset()), buffer.length()));
    }
    return new Batch((int) batch.length(), buffers);
  }

  private static ByteBuffer bytes(MemorySegment file, long offset, long length) {
    return file.asSlice(offset, length).asByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
  }
}
