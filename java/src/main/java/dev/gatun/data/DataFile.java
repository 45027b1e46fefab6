package dev.gatun.data;

import dev.gatun.InputException;
import java.io.BufferedInputStream;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.zip.GZIPInputStream;

/// One data file: which format it has, and a reader for it. The content decides where it can; the
/// name decides between text formats.
///
/// @param path where it is
/// @param format what it is
/// @param gzip whether the text is compressed
record DataFile(Path path, Format format, boolean gzip) {
  enum Format {
    JSON_LINES,
    JSON_ARRAY,
    CSV,
    TSV,
    PARQUET,
    ARROW_FILE,
    ARROW_STREAM
  }

  private static final int PEEK = 1 << 12;

  static DataFile detect(Path path) {
    if (!Files.isRegularFile(path)) {
      throw new InputException(
          path
              + " does not exist or is not a file; data are files or folders here and never fetched.");
    }
    try (InputStream raw = Files.newInputStream(path)) {
      byte[] start = raw.readNBytes(PEEK);
      String name = path.getFileName().toString().toLowerCase(Locale.ROOT);
      if (start.length >= 2 && start[0] == 0x1f && start[1] == (byte) 0x8b) {
        try (InputStream in = new GZIPInputStream(Files.newInputStream(path))) {
          String inner = name.endsWith(".gz") ? name.substring(0, name.length() - 3) : name;
          return new DataFile(path, textFormat(path, inner, in.readNBytes(PEEK)), true);
        }
      }
      return new DataFile(path, format(path, name, start), false);
    } catch (IOException e) {
      throw new InputException(path + " cannot be read: " + e.getMessage(), e);
    }
  }

  private static Format format(Path path, String name, byte[] start) {
    if (startsWith(start, "PAR1")) {
      return Format.PARQUET;
    }
    if (startsWith(start, "ARROW1")) {
      return Format.ARROW_FILE;
    }
    if (startsWith(start, "\u00ff\u00ff\u00ff\u00ff")) {
      return Format.ARROW_STREAM;
    }
    if (name.endsWith(".parquet")) {
      throw new InputException(path + " is not a Parquet file: it does not begin with PAR1.");
    }
    if (name.endsWith(".arrow") || name.endsWith(".arrows") || name.endsWith(".feather")) {
      throw new InputException(path + " is not an Arrow IPC file or stream.");
    }
    return textFormat(path, name, start);
  }

  private static Format textFormat(Path path, String name, byte[] start) {
    if (name.endsWith(".csv")) {
      return Format.CSV;
    }
    if (name.endsWith(".tsv")) {
      return Format.TSV;
    }
    char first = firstCharacter(start);
    if (name.endsWith(".jsonl") || name.endsWith(".ndjson") || first == '{') {
      return Format.JSON_LINES;
    }
    if (first == '[' || name.endsWith(".json")) {
      return first == '[' ? Format.JSON_ARRAY : Format.JSON_LINES;
    }
    throw new InputException(
        path
            + " is of no known format; use .jsonl, .json, .csv, .tsv (also .gz), .parquet or"
            + " .arrow.");
  }

  /// The first character that is neither white space nor part of a byte-order mark; 0 if none.
  private static char firstCharacter(byte[] start) {
    for (byte b : start) {
      boolean mark = b == (byte) 0xef || b == (byte) 0xbb || b == (byte) 0xbf;
      if (!mark && !Character.isWhitespace(b)) {
        return (char) (b & 0xff);
      }
    }
    return 0;
  }

  private static boolean startsWith(byte[] bytes, String magic) {
    if (bytes.length < magic.length()) {
      return false;
    }
    for (int i = 0; i < magic.length(); i++) {
      if ((bytes[i] & 0xff) != magic.charAt(i)) {
        return false;
      }
    }
    return true;
  }

  RowReader open() {
    String file = path.toString();
    return switch (format) {
      case JSON_LINES -> new JsonLinesReader(file, text());
      case JSON_ARRAY -> new JsonArrayReader(file, text());
      case CSV -> new CsvReader(file, text(), ',');
      case TSV -> new CsvReader(file, text(), '\t');
      case PARQUET -> ParquetReader.open(path);
      case ARROW_FILE, ARROW_STREAM -> ArrowIpcReader.open(path, format == Format.ARROW_FILE);
    };
  }

  private InputStream text() {
    try {
      InputStream in = new BufferedInputStream(Files.newInputStream(path), 1 << 16);
      return gzip ? new GZIPInputStream(in, 1 << 16) : in;
    } catch (IOException e) {
      throw new InputException(path + " cannot be read: " + e.getMessage(), e);
    }
  }

  static void close(Closeable resource) {
    try {
      resource.close();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
