package dev.gatun.io;

import dev.gatun.FailureException;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;

/// Writes safetensors files byte for byte as the Python library does: tensors sorted by descending
/// type then by name (so that all are aligned), a compact header padded with spaces to eight bytes.
public final class SafeTensorsWriter {
  /// The library's order of types, widest last.
  private static final List<DType> TYPE_ORDER =
      List.of(
          DType.BOOL,
          DType.U8,
          DType.I8,
          DType.I16,
          DType.F16,
          DType.BF16,
          DType.I32,
          DType.F32,
          DType.F64,
          DType.I64);

  private static final long CHUNK_BYTES = 64L << 20;

  private SafeTensorsWriter() {}

  /// Writes host tensors, atomically; equal arguments give equal bytes.
  ///
  /// @param metadata written in its own order; empty for none
  /// @throws FailureException if the file cannot be written
  public static void write(Path path, Map<String, Tensor> tensors, Map<String, String> metadata) {
    List<Map.Entry<String, Tensor>> sorted = sorted(tensors);
    byte[] header = header(sorted, metadata);
    AtomicFiles.write(
        path,
        channel -> {
          ByteBuffer length = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
          AtomicFiles.writeFully(channel, length.putLong(0, header.length));
          AtomicFiles.writeFully(channel, ByteBuffer.wrap(header));
          for (Map.Entry<String, Tensor> entry : sorted) {
            writeElements(channel, entry.getValue());
          }
        });
  }

  /// The tensors in the order of the file.
  static List<Map.Entry<String, Tensor>> sorted(Map<String, Tensor> tensors) {
    List<Map.Entry<String, Tensor>> sorted = new ArrayList<>(tensors.entrySet());
    sorted.sort(
        Comparator.comparingInt(
                (Map.Entry<String, Tensor> e) -> -TYPE_ORDER.indexOf(e.getValue().dtype()))
            .thenComparing(
                e -> e.getKey().getBytes(StandardCharsets.UTF_8), Arrays::compareUnsigned));
    return sorted;
  }

  /// The padded header that stands after its own length and before the elements.
  ///
  /// @param tensors in the order of [#sorted]; only types and shapes are read
  static byte[] header(List<Map.Entry<String, Tensor>> tensors, Map<String, String> metadata) {
    StringBuilder json = new StringBuilder("{");
    if (!metadata.isEmpty()) {
      json.append("\"__metadata__\":{");
      metadata.forEach((key, value) -> {
        appendString(json, key);
        appendString(json.append(':'), value);
        json.append(',');
      });
      json.setCharAt(json.length() - 1, '}');
      json.append(',');
    }
    long offset = 0;
    for (Map.Entry<String, Tensor> entry : tensors) {
      Tensor tensor = entry.getValue();
      appendString(json, entry.getKey());
      json.append(":{\"dtype\":\"").append(tensor.dtype());
      json.append("\",\"shape\":").append(tensor.shape().toString().replace(" ", ""));
      json.append(",\"data_offsets\":[").append(offset).append(',');
      offset += tensor.byteSize();
      json.append(offset).append("]},");
    }
    if (json.charAt(json.length() - 1) == ',') {
      json.setLength(json.length() - 1);
    }
    byte[] text = json.append('}').toString().getBytes(StandardCharsets.UTF_8);
    byte[] padded = Arrays.copyOf(text, (text.length + 7) / 8 * 8);
    Arrays.fill(padded, text.length, padded.length, (byte) ' ');
    return padded;
  }

  private static void writeElements(FileChannel channel, Tensor tensor) throws IOException {
    if (tensor.isContiguous()) {
      writeSegment(channel, tensor.segment());
      return;
    }
    for (long row = 0; row < tensor.rows(); row++) {
      writeSegment(channel, tensor.rows(row, 1).segment());
    }
  }

  private static void writeSegment(FileChannel channel, MemorySegment segment) throws IOException {
    for (long from = 0; from < segment.byteSize(); from += CHUNK_BYTES) {
      long bytes = Math.min(CHUNK_BYTES, segment.byteSize() - from);
      AtomicFiles.writeFully(channel, segment.asSlice(from, bytes).asByteBuffer());
    }
  }

  /// JSON as serde writes it: only quotes, backslashes and control characters are escaped.
  private static void appendString(StringBuilder json, String text) {
    json.append('"');
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '"' -> json.append("\\\"");
        case '\\' -> json.append("\\\\");
        case '\n' -> json.append("\\n");
        case '\r' -> json.append("\\r");
        case '\t' -> json.append("\\t");
        case '\b' -> json.append("\\b");
        case '\f' -> json.append("\\f");
        default -> {
          if (c < 0x20) {
            json.append("\\u%04x".formatted((int) c));
          } else {
            json.append(c);
          }
        }
      }
    }
    json.append('"');
  }
}
