package dev.gatun.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.Assumptions;

/// The report on the kernels of this build, for tests; a build without kernels skips them.
final class BuiltKernels {
  /// What one kernel takes on one target, per thread (registers, stack, spills) or block (shared).
  record Usage(
      String kernel,
      String module,
      String target,
      int registers,
      int sharedBytes,
      int stackBytes,
      int spillStoreBytes,
      int spillLoadBytes) {}

  private BuiltKernels() {}

  static List<Usage> report() {
    try (InputStream in =
        Module.class.getResourceAsStream("/dev/gatun/kernels/kernels.report.tsv")) {
      Assumptions.assumeTrue(in != null, "this build has no GPU kernels (no nvcc)");
      return new String(in.readAllBytes(), StandardCharsets.US_ASCII)
          .lines()
          .skip(1)
          .map(line -> line.split("\t"))
          .map(BuiltKernels::usage)
          .toList();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static Usage usage(String[] columns) {
    return new Usage(
        columns[0],
        columns[1],
        columns[2],
        Integer.parseInt(columns[3]),
        Integer.parseInt(columns[4]),
        Integer.parseInt(columns[5]),
        Integer.parseInt(columns[6]),
        Integer.parseInt(columns[7]));
  }
}
