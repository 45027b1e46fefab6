package dev.gatun.cli;

import dev.gatun.InputException;
import dev.gatun.cli.bundle.Bundle;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/// `gatun bundle`; the launcher builds everything first and says where the checkout is.
@Command(
    name = "bundle",
    description = "Packs runtime, program, tests and benchmarks for Linux hosts without Java.")
final class BundleCommand implements Callable<Integer> {
  @Option(
      names = "--output",
      paramLabel = "FILE",
      description = "A .tar.xz, or a .tar.gz, which is larger (default: ${DEFAULT-VALUE}).")
  private Path output = Path.of("gatun-linux-x86_64.tar.xz");

  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws IOException {
    String name = output.toString();
    if (!name.endsWith(".tar.gz") && !name.endsWith(".tgz") && !name.endsWith(".tar.xz")) {
      throw new InputException(output + " must end in .tar.gz or .tar.xz; rename it.");
    }
    Bundle.Sizes sizes = Bundle.write(output, inputs(home()));
    PrintWriter out = spec.commandLine().getOut();
    sizes.parts().forEach((part, bytes) -> out.printf("%-12s %10s%n", part, Sizes.bytes(bytes)));
    out.printf(
        "%s: %.1f MB; unpack it anywhere and start gatun/run%n", output, sizes.packedBytes() / 1e6);
    return 0;
  }

  /// The checkout, which the launcher names.
  private static Path home() {
    String home = System.getProperty("gatun.home");
    if (home == null) {
      throw new InputException(
          "A bundle is made from a checkout of the sources: start ./gatun bundle there.");
    }
    return Path.of(home);
  }

  private static Bundle.Inputs inputs(Path home) throws IOException {
    Path target = home.resolve("java/target");
    List<Path> app = new ArrayList<>(List.of(built(target.resolve("gatun.jar"))));
    app.addAll(jars(target.resolve("lib")));
    Path benchmarks = home.resolve("benchmarks/target");
    List<Path> bench = new ArrayList<>(List.of(built(benchmarks.resolve("gatun-benchmarks.jar"))));
    bench.addAll(jars(benchmarks.resolve("lib")));
    List<Path> tests =
        List.of(built(target.resolve("test-classes")), built(benchmarks.resolve("test-classes")));
    return new Bundle.Inputs(app, tests, jars(target.resolve("test-lib")), bench);
  }

  private static Path built(Path path) {
    if (!Files.exists(path)) {
      throw new InputException(path + " is missing: ./gatun bundle builds it.");
    }
    return path;
  }

  private static List<Path> jars(Path folder) throws IOException {
    List<Path> jars = new ArrayList<>();
    try (DirectoryStream<Path> found = Files.newDirectoryStream(built(folder), "*.jar")) {
      found.forEach(jars::add);
    }
    Collections.sort(jars);
    return jars;
  }
}
