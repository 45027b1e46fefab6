package dev.gatun.cli.bundle;

import dev.gatun.FailureException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.spi.ToolProvider;

/// A Java runtime of the modules that the product, its tests and its benchmarks use, linked from
/// the JDK that runs this. The options that every JVM of ours needs are part of it.
final class RuntimeImage {
  private static final List<String> MODULES =
      List.of(
          "java.base",
          "java.logging",
          "java.management",
          "java.naming",
          "java.xml",
          "jdk.incubator.vector",
          "jdk.jfr",
          "jdk.management",
          "jdk.unsupported",
          "jdk.zipfs");

  private static final String OPTIONS =
      "--enable-native-access=ALL-UNNAMED --add-opens=java.base/java.nio=ALL-UNNAMED"
          + " --add-modules=jdk.incubator.vector --sun-misc-unsafe-memory-access=allow"
          + " -XX:+UseSerialGC";

  private RuntimeImage() {}

  /// Links a runtime into a new folder.
  ///
  /// @throws FailureException if this JDK has no jlink, or it fails
  static void link(Path folder) {
    ToolProvider jlink =
        ToolProvider.findFirst("jlink")
            .orElseThrow(() ->
                new FailureException(
                    System.getProperty("java.home")
                        + " has no jlink; set JAVA_HOME to a full JDK 25."));
    StringWriter said = new StringWriter();
    PrintWriter log = new PrintWriter(said, true);
    // Uncompressed: the archive compresses the whole better than jlink its parts.
    int status =
        jlink.run(
            log,
            log,
            "--add-modules",
            String.join(",", MODULES),
            "--strip-debug",
            "--no-header-files",
            "--no-man-pages",
            "--compress",
            "zip-0",
            "--add-options=" + OPTIONS,
            "--output",
            folder.toString());
    if (status != 0) {
      throw new FailureException("jlink failed: " + said.toString().strip());
    }
  }
}
