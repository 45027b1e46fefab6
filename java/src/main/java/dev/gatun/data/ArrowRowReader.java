package dev.gatun.data;

import dev.gatun.InputException;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.ipc.ArrowReader;
import org.jspecify.annotations.Nullable;

/// Rows of Arrow record batches, whatever they come from. Arrow reports damage by many kinds of
/// runtime exceptions; here they all become one.
final class ArrowRowReader implements RowReader {
  private final String file;
  private final ArrowReader batches;
  private final AutoCloseable owner;
  private final ArrowValues values;
  private int next;
  private int batchRows;
  private long rows;
  private boolean failed;

  /// @param owner closed after `batches`
  ArrowRowReader(String file, ArrowReader batches, AutoCloseable owner) {
    this.file = file;
    this.batches = batches;
    this.owner = owner;
    this.values = new ArrowValues(batches);
  }

  @Override
  public @Nullable Row next() {
    while (next == batchRows) {
      if (!loadBatch()) {
        return null;
      }
    }
    rows++;
    Map<String, @Nullable Object> columns = new LinkedHashMap<>();
    String column = "";
    try {
      for (FieldVector vector : batches.getVectorSchemaRoot().getFieldVectors()) {
        column = vector.getName();
        if (columns.put(column, values.value(vector, next)) != null) {
          throw new InputException("%s has two columns `%s`.".formatted(file, column));
        }
      }
    } catch (CharacterCodingException e) {
      throw new InputException(
          "%s row %d: column `%s` is not UTF-8.".formatted(file, rows, column), e);
    } catch (InputException e) {
      throw e;
    } catch (IOException | RuntimeException e) {
      failed = true;
      throw new InputException(
          "%s row %d: column `%s` is damaged: %s".formatted(file, rows, column, reason(e)), e);
    }
    next++;
    return new Row(file, "row", rows, columns);
  }

  /// Reads the schema, which is the first thing that can be damaged.
  void checkSchema() {
    try {
      batches.getVectorSchemaRoot();
    } catch (IOException | RuntimeException e) {
      failed = true;
      throw new InputException("%s is not a readable Arrow file: %s".formatted(file, reason(e)), e);
    }
  }

  private boolean loadBatch() {
    try {
      if (!batches.loadNextBatch()) {
        return false;
      }
      VectorSchemaRoot root = batches.getVectorSchemaRoot();
      next = 0;
      batchRows = root.getRowCount();
      return true;
    } catch (IOException | RuntimeException e) {
      failed = true;
      throw new InputException(
          "%s cannot be read after row %d: %s".formatted(file, rows, reason(e)), e);
    }
  }

  static String reason(Exception e) {
    String message = e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
    String line = message.lines().findFirst().orElse(message);
    return line.contains("codec")
        ? line + "; write the file with zstd or snappy compression instead."
        : line;
  }

  @Override
  public void close() {
    try (owner) {
      batches.close();
    } catch (Exception e) {
      // After a failed read Arrow misses buffers of its own; the failure was reported already.
      if (!failed) {
        throw new InputException(file + " cannot be closed: " + reason(e), e);
      }
    }
  }
}
