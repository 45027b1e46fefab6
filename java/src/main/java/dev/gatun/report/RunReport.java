package dev.gatun.report;

import dev.gatun.InputException;
import dev.gatun.io.AtomicFiles;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/// The page about one run or several: one file that needs no other, runs no script and asks no
/// server for anything.
public final class RunReport {
  /// Name under which a run's own report lies in its folder.
  public static final String FILE = "report.html";

  private RunReport() {}

  /// Whether a file is such a page, which may be replaced.
  public static boolean isReport(Path file) {
    try (InputStream in = Files.newInputStream(file)) {
      byte[] start = Page.START.getBytes(StandardCharsets.UTF_8);
      return Arrays.equals(in.readNBytes(start.length), start);
    } catch (IOException _) {
      return false; // nothing that may be replaced
    }
  }

  /// Writes a run's own report into its folder.
  ///
  /// @throws InputException if a file of the run is damaged
  public static void write(Path folder) {
    write(List.of(folder), folder.resolve(FILE));
  }

  /// Writes a page about runs.
  ///
  /// @param folders their output directories
  /// @throws InputException if one is no run's folder, or a file in it is damaged
  public static void write(List<Path> folders, Path target) {
    AtomicFiles.writeText(target, new Page(folders.stream().map(RunFolder::read).toList()).html());
  }
}
