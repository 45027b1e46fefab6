package dev.gatun.data;

import dev.gatun.InputException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.Reader;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Comma- or tab-separated values, RFC 4180: a header line, quotes doubled inside quotes, line
/// feeds inside quotes. CSV has no types: every value is a string, except that an empty field
/// without quotes is null.
final class CsvReader implements RowReader {
  private static final int LONGEST_FIELD = 256 << 20;
  private static final int END = -1;
  private static final int BYTE_ORDER_MARK = 0xfeff;

  private final String file;
  private final char separator;
  private final Reader in;
  private final List<String> header;
  private final StringBuilder field = new StringBuilder();
  private long line = 1;
  private int next;

  /// @param in closed with the reader
  CsvReader(String file, InputStream in, char separator) {
    this.file = file;
    this.separator = separator;
    this.in =
        new BufferedReader(
            new InputStreamReader(
                in,
                StandardCharsets.UTF_8
                    .newDecoder()
                    .onMalformedInput(CodingErrorAction.REPORT)
                    .onUnmappableCharacter(CodingErrorAction.REPORT)));
    next = read();
    if (next == BYTE_ORDER_MARK) {
      next = read();
    }
    header = header();
  }

  private List<String> header() {
    if (next == END) {
      return List.of();
    }
    List<String> names = new ArrayList<>();
    for (@Nullable String name : fields()) {
      if (name == null || names.contains(name)) {
        throw new InputException(
            "%s line 1: the header has %s."
                .formatted(
                    file, name == null ? "a column without a name" : "`" + name + "` twice"));
      }
      names.add(name);
    }
    return names;
  }

  @Override
  public @Nullable Row next() {
    skipBlankLines();
    if (next == END) {
      return null;
    }
    long start = line;
    List<@Nullable String> values = fields();
    if (values.size() != header.size()) {
      throw new InputException(
          "%s line %d has %d fields, but the header has %d."
              .formatted(file, start, values.size(), header.size()));
    }
    Map<String, @Nullable Object> columns = new LinkedHashMap<>();
    for (int i = 0; i < header.size(); i++) {
      columns.put(header.get(i), values.get(i));
    }
    return new Row(file, "line", start, columns);
  }

  private void skipBlankLines() {
    while (next == '\r' || next == '\n') {
      line += next == '\n' ? 1 : 0;
      next = read();
    }
  }

  private List<@Nullable String> fields() {
    List<@Nullable String> values = new ArrayList<>();
    while (true) {
      values.add(next == '"' ? quoted() : plain());
      if (next == separator) {
        next = read();
        continue;
      }
      if (next == '\r') {
        next = read();
      }
      if (next == '\n') {
        line++;
        next = read();
      }
      return values;
    }
  }

  private @Nullable String plain() {
    field.setLength(0);
    while (next != separator && next != '\n' && next != '\r' && next != END) {
      append();
    }
    return field.isEmpty() ? null : field.toString();
  }

  private String quoted() {
    long start = line;
    field.setLength(0);
    next = read();
    while (true) {
      if (next == END) {
        throw new InputException(
            "%s line %d: a quoted field is never closed.".formatted(file, start));
      }
      if (next == '"') {
        next = read();
        if (next != '"') {
          break;
        }
      }
      line += next == '\n' ? 1 : 0;
      append();
    }
    if (next != separator && next != '\n' && next != '\r' && next != END) {
      throw new InputException(
          "%s line %d: text follows a closing quote; double the quotes inside a quoted field."
              .formatted(file, line));
    }
    return field.toString();
  }

  private void append() {
    if (field.length() == LONGEST_FIELD) {
      throw new InputException(
          "%s line %d: a field is longer than 256 Mi characters.".formatted(file, line));
    }
    field.append((char) next);
    next = read();
  }

  private int read() {
    try {
      return in.read();
    } catch (CharacterCodingException e) {
      throw new InputException(
          "%s is not UTF-8 at or shortly after line %d; convert the file to UTF-8."
              .formatted(file, line),
          e);
    } catch (IOException e) {
      throw new InputException(
          "%s cannot be read after line %d: %s".formatted(file, line, e.getMessage()), e);
    }
  }

  @Override
  public void close() {
    DataFile.close(in);
  }
}
