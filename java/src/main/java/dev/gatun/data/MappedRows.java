package dev.gatun.data;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import tools.jackson.core.JacksonException;
import tools.jackson.core.type.TypeReference;
import tools.jackson.databind.json.JsonMapper;

/// Prepared rows in a mapped cache file. A row's numbers are read straight from the list's child
/// buffer when it is asked for.
///
/// @param arena holds the mapping
/// @param batches record batches of [TokenCacheWriter#BATCH_ROWS] rows, the last perhaps fewer
/// @param size number of rows
/// @param files names of the data files
/// @param unit what source numbers count
/// @param report what preparation did
record MappedRows(
    Arena arena,
    List<MappedBatch> batches,
    int size,
    List<String> files,
    String unit,
    PreparationReport report)
    implements PreparedDataset {

  /// Maps a file and checks all of it.
  static MappedRows open(Path file) throws CacheDamagedException {
    Arena arena = Arena.ofShared();
    boolean opened = false;
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      MemorySegment segment = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
      MappedRows rows = read(arena, segment);
      opened = true;
      return rows;
    } catch (IOException
        | JacksonException
        | IndexOutOfBoundsException
        | IllegalArgumentException
        | ArithmeticException e) {
      throw new CacheDamagedException(e.getClass().getSimpleName() + ": " + e.getMessage());
    } finally {
      if (!opened) {
        arena.close();
      }
    }
  }

  private static MappedRows read(Arena arena, MemorySegment segment) throws CacheDamagedException {
    MappedFooter footer = MappedFooter.read(segment);
    Map<String, String> metadata = footer.metadata();
    String report = metadata.get(TokenCacheWriter.REPORT_KEY);
    if (!TokenCache.VERSION.equals(metadata.get(TokenCacheWriter.VERSION_KEY)) || report == null) {
      throw new CacheDamagedException("it is of another version");
    }
    List<MappedBatch> batches = new ArrayList<>();
    long size = 0;
    for (MappedFooter.Batch batch : footer.batches()) {
      if (size % TokenCacheWriter.BATCH_ROWS != 0) {
        throw new CacheDamagedException("a batch in the middle is short");
      }
      batches.add(MappedBatch.of(segment, batch));
      size += batch.rows();
    }
    JsonMapper json = JsonMapper.shared();
    MappedRows rows =
        new MappedRows(
            arena,
            List.copyOf(batches),
            Math.toIntExact(size),
            json.readValue(
                metadata.getOrDefault(TokenCacheWriter.FILES_KEY, "[]"),
                new TypeReference<List<String>>() {}),
            metadata.getOrDefault(TokenCacheWriter.UNIT_KEY, "row"),
            json.readValue(report, PreparationReport.class));
    for (MappedBatch batch : batches) {
      batch.checkFiles(rows.files().size());
    }
    if (!RowChecksum.of(rows).equals(metadata.get(TokenCacheWriter.CHECKSUM_KEY))) {
      throw new CacheDamagedException("its checksum differs");
    }
    return rows;
  }

  MappedRows withReport(PreparationReport other) {
    return new MappedRows(arena, batches, size, files, unit, other);
  }

  @Override
  public int[] inputIds(int row) {
    return batch(row).inputIds().row(inBatch(row));
  }

  @Override
  public int[] labels(int row) {
    return batch(row).labels().row(inBatch(row));
  }

  @Override
  public int[] sequenceLengths(int row) {
    return batch(row).sequenceLengths().row(inBatch(row));
  }

  @Override
  public int length(int row) {
    return batch(row).inputIds().length(inBatch(row));
  }

  @Override
  public String source(int row) {
    int[] numbers = batch(row).sourceNumbers().row(inBatch(row));
    return RowSources.describe(files, unit, numbers, sourceFiles(row));
  }

  @Override
  public int[] sourceFiles(int row) {
    return batch(row).sourceFiles().row(inBatch(row));
  }

  @Override
  public long[] fingerprints(int row) {
    return TokenCacheWriter.joined(batch(row).fingerprints().row(inBatch(row)));
  }

  private MappedBatch batch(int row) {
    return batches.get(row / TokenCacheWriter.BATCH_ROWS);
  }

  private static int inBatch(int row) {
    return row % TokenCacheWriter.BATCH_ROWS;
  }

  /// Unmaps the file. Closing twice does nothing.
  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}
