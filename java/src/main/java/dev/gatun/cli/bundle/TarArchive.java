package dev.gatun.cli.bundle;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.util.zip.Deflater;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;
import org.apache.commons.compress.compressors.gzip.GzipCompressorOutputStream;
import org.apache.commons.compress.compressors.gzip.GzipParameters;

/// A compressed tar archive whose bytes depend on names and contents alone: one owner, one date.
final class TarArchive implements AutoCloseable {
  /// The date of everything in a bundle.
  static final LocalDateTime DATE = LocalDateTime.of(2026, 1, 1, 0, 0);

  private static final int FILE = 0100644;
  private static final int PROGRAM = 0100755;

  private final TarArchiveOutputStream out;

  private TarArchive(TarArchiveOutputStream out) {
    this.out = out;
    out.setLongFileMode(TarArchiveOutputStream.LONGFILE_POSIX);
  }

  /// Ways to compress.
  enum Compression {
    GZIP,
    XZ;

    /// What a file name asks for.
    static Compression of(Path file) {
      return file.toString().endsWith(".xz") ? XZ : GZIP;
    }
  }

  static TarArchive create(Path file, Compression compression) throws IOException {
    return new TarArchive(
        new TarArchiveOutputStream(
            new BufferedOutputStream(
                switch (compression) {
                  case GZIP -> gzip(file);
                  case XZ -> XzProgram.start(file);
                },
                1 << 16)));
  }

  private static OutputStream gzip(Path file) throws IOException {
    GzipParameters parameters = new GzipParameters();
    parameters.setCompressionLevel(Deflater.BEST_COMPRESSION);
    return new GzipCompressorOutputStream(
        new BufferedOutputStream(Files.newOutputStream(file)), parameters);
  }

  /// Adds a file.
  ///
  /// @param program whether it may be executed
  void add(String name, byte[] content, boolean program) throws IOException {
    TarArchiveEntry entry = new TarArchiveEntry(name);
    entry.setSize(content.length);
    entry.setMode(program ? PROGRAM : FILE);
    entry.setLastModifiedTime(FileTime.from(DATE.toInstant(ZoneOffset.UTC)));
    entry.setIds(0, 0);
    entry.setNames("root", "root");
    out.putArchiveEntry(entry);
    out.write(content);
    out.closeArchiveEntry();
  }

  @Override
  public void close() throws IOException {
    out.close();
  }
}
