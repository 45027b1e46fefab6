package dev.gatun.data;

import org.jspecify.annotations.Nullable;

/// Reads the rows of one data file in order, holding only what it needs of the file. Used by one
/// thread.
public interface RowReader extends AutoCloseable {
  /// The next row, or null at the end.
  ///
  /// @throws dev.gatun.InputException if the file is malformed, naming file, line or row, and
  ///   column
  @Nullable Row next();

  /// Closes the file.
  @Override
  void close();
}
