package dev.gatun.data;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Iterator;

/// One record batch of a mapped cache file.
///
/// @param inputIds list column
/// @param labels list column
/// @param sequenceLengths list column
/// @param sourceNumbers list column
/// @param fingerprints list column
/// @param sourceFiles list column
record MappedBatch(
    IntLists inputIds,
    IntLists labels,
    IntLists sequenceLengths,
    IntLists sourceNumbers,
    IntLists fingerprints,
    IntLists sourceFiles) {
  private static final ValueLayout.OfInt INT32 =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /// A column of lists of int32.
  ///
  /// @param offsets int32 per row and one more: where a row's values begin
  /// @param values int32 values of all rows
  record IntLists(MemorySegment offsets, MemorySegment values) {
    int length(int row) {
      return offsets.getAtIndex(INT32, row + 1) - offsets.getAtIndex(INT32, row);
    }

    int[] row(int row) {
      long start = offsets.getAtIndex(INT32, row);
      return values
          .asSlice(start * Integer.BYTES, (long) length(row) * Integer.BYTES)
          .toArray(INT32);
    }

    private IntLists checked(int rows) throws CacheDamagedException {
      long available = values.byteSize() / Integer.BYTES;
      int previous = 0;
      for (int row = 0; row <= rows; row++) {
        int offset = offsets.getAtIndex(INT32, row);
        if (offset < previous || offset > available) {
          throw new CacheDamagedException("a list offset is out of range");
        }
        previous = offset;
      }
      return this;
    }
  }

  /// The buffers of a batch in the order in which Arrow writes them: validity and offsets of a
  /// list, validity and values of its child.
  static MappedBatch of(MemorySegment file, MappedFooter.Batch batch) throws CacheDamagedException {
    Iterator<MappedFooter.Range> buffers = batch.buffers().iterator();
    int rows = batch.rows();
    return new MappedBatch(
        lists(file, buffers).checked(rows),
        lists(file, buffers).checked(rows),
        lists(file, buffers).checked(rows),
        lists(file, buffers).checked(rows),
        lists(file, buffers).checked(rows),
        lists(file, buffers).checked(rows));
  }

  private static IntLists lists(MemorySegment file, Iterator<MappedFooter.Range> buffers) {
    return new IntLists(numbers(file, buffers), numbers(file, buffers));
  }

  /// Skips the validity buffer: no column has nulls.
  private static MemorySegment numbers(MemorySegment file, Iterator<MappedFooter.Range> buffers) {
    buffers.next();
    MappedFooter.Range range = buffers.next();
    return file.asSlice(range.offset(), range.length());
  }

  void checkFiles(int files) throws CacheDamagedException {
    MemorySegment values = sourceFiles.values();
    for (long i = 0; i < values.byteSize() / Integer.BYTES; i++) {
      int file = values.getAtIndex(INT32, i);
      if (file < 0 || file >= files) {
        throw new CacheDamagedException("a row's file is out of range");
      }
    }
  }
}
