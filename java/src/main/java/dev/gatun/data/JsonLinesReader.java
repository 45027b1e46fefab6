package dev.gatun.data;

import dev.gatun.InputException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CoderResult;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;

/// One JSON object per line, UTF-8. Blank lines, CRLF and a byte-order mark at the start are
/// accepted; anything else that is not JSON is an error with its line.
final class JsonLinesReader implements RowReader {
  private static final int LONGEST_LINE_BYTES = 256 << 20;

  private final String file;
  private final InputStream in;
  private final byte[] buffer = new byte[1 << 16];
  private int position;
  private int limit;
  private byte[] line = new byte[1 << 12];
  private long lineNumber;
  private long lineStart;
  private long consumed;

  /// @param in closed with the reader
  JsonLinesReader(String file, InputStream in) {
    this.file = file;
    this.in = in;
  }

  @Override
  public @Nullable Row next() {
    while (true) {
      int length = readLine();
      if (length < 0) {
        return null;
      }
      String text = decode(length);
      if (!text.isBlank()) {
        return new Row(file, "line", lineNumber, columns(text));
      }
    }
  }

  private Map<String, @Nullable Object> columns(String text) {
    String where = file + " line " + lineNumber;
    try {
      return JsonRows.object(text, where);
    } catch (JacksonException e) {
      throw new InputException("%s is not valid JSON: %s".formatted(where, JsonRows.reason(e)), e);
    }
  }

  /// Reads up to and including a line feed into `line`; the length without it, or -1 at the end.
  private int readLine() {
    lineStart = consumed;
    int length = 0;
    while (true) {
      if (position == limit && !fill()) {
        if (length == 0) {
          return -1;
        }
        lineNumber++;
        return length;
      }
      int end = position;
      while (end < limit && buffer[end] != '\n') {
        end++;
      }
      length = append(length, end);
      boolean complete = end < limit;
      consumed += end - position + (complete ? 1 : 0);
      position = complete ? end + 1 : end;
      if (complete) {
        lineNumber++;
        return length;
      }
    }
  }

  private int append(int length, int end) {
    int grown = length + end - position;
    if (grown > LONGEST_LINE_BYTES) {
      throw new InputException(
          "%s line %d is longer than 256 MiB; is this a JSON Lines file?"
              .formatted(file, lineNumber + 1));
    }
    if (grown > line.length) {
      line = Arrays.copyOf(line, Math.max(grown, 2 * line.length));
    }
    System.arraycopy(buffer, position, line, length, end - position);
    return grown;
  }

  private boolean fill() {
    try {
      position = 0;
      limit = Math.max(0, in.read(buffer));
      return limit > 0;
    } catch (IOException e) {
      throw new InputException(
          "%s cannot be read after line %d: %s".formatted(file, lineNumber, e.getMessage()), e);
    }
  }

  private String decode(int length) {
    int start = lineNumber == 1 && hasByteOrderMark(length) ? 3 : 0;
    int end = length > start && line[length - 1] == '\r' ? length - 1 : length;
    CharsetDecoder decoder =
        StandardCharsets.UTF_8
            .newDecoder()
            .onMalformedInput(CodingErrorAction.REPORT)
            .onUnmappableCharacter(CodingErrorAction.REPORT);
    ByteBuffer bytes = ByteBuffer.wrap(line, start, end - start);
    CharBuffer text = CharBuffer.allocate(end - start);
    CoderResult result = decoder.decode(bytes, text, true);
    if (result.isError()) {
      throw new InputException(
          "%s line %d is not UTF-8: byte 0x%02X at offset %d of the file; convert the file to UTF-8."
              .formatted(
                  file, lineNumber, line[bytes.position()] & 0xff, lineStart + bytes.position()));
    }
    return text.flip().toString();
  }

  private boolean hasByteOrderMark(int length) {
    return length >= 3
        && line[0] == (byte) 0xef
        && line[1] == (byte) 0xbb
        && line[2] == (byte) 0xbf;
  }

  @Override
  public void close() {
    DataFile.close(in);
  }
}
