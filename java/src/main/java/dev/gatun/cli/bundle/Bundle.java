package dev.gatun.cli.bundle;

import dev.gatun.FailureException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

/// One archive that runs the product, its tests and its benchmarks on a Linux host with nothing but
/// a driver: a Java runtime, jars, test classes, and a script. Names come in a fixed order.
///
/// ```
/// gatun/run  gatun/README.txt  gatun/app/*.jar  gatun/bench/*.jar  gatun/runtime/…
/// gatun/test-lib/*.jar  gatun/tests/…
/// ```
public final class Bundle {
  private static final String ROOT = "gatun/";

  private final Map<String, File> files = new TreeMap<>();

  private record File(byte[] content, boolean program) {}

  private Bundle() {}

  /// What goes in. Jars, or folders of classes, which become jars.
  ///
  /// @param app the product and its libraries
  /// @param tests folders of test classes and test resources, which become one folder
  /// @param testLibraries what the tests need besides
  /// @param benchmarks benchmarks and their libraries; may be empty
  public record Inputs(
      List<Path> app, List<Path> tests, List<Path> testLibraries, List<Path> benchmarks) {
    public Inputs {
      app = List.copyOf(app);
      tests = List.copyOf(tests);
      testLibraries = List.copyOf(testLibraries);
      benchmarks = List.copyOf(benchmarks);
    }
  }

  /// Bytes of an archive, and of its parts before compression.
  public record Sizes(long packedBytes, Map<String, Long> parts) {}

  /// Writes an archive, xz if its name says so, else gzip; under a temporary name until it is
  /// complete.
  ///
  /// @throws FailureException if linking the runtime fails
  /// @throws IOException if something cannot be read or written
  public static Sizes write(Path output, Inputs inputs) throws IOException {
    Bundle bundle = new Bundle();
    bundle.resource("run", true);
    bundle.resource("README.txt", false);
    bundle.jars("app", inputs.app());
    bundle.jars("test-lib", inputs.testLibraries());
    bundle.jars("bench", inputs.benchmarks());
    for (Path tests : inputs.tests()) {
      bundle.folder("tests", tests);
    }
    bundle.runtime();
    return bundle.write(output);
  }

  private void resource(String name, boolean program) throws IOException {
    try (InputStream in = Bundle.class.getResourceAsStream(name)) {
      if (in == null) {
        throw new IllegalStateException("the jar lacks " + name);
      }
      files.put(ROOT + name, new File(in.readAllBytes(), program));
    }
  }

  private void jars(String folder, List<Path> sources) throws IOException {
    for (Path source : sources) {
      String name = source.getFileName().toString();
      if (!Libraries.isLeftOut(name)) {
        String jar = Files.isDirectory(source) ? folder + files.size() + ".jar" : name;
        files.put(ROOT + folder + "/" + jar, new File(Libraries.jar(source), false));
      }
    }
  }

  private void folder(String name, Path source) throws IOException {
    try (Stream<Path> all = Files.walk(source)) {
      all.filter(Files::isRegularFile)
          .forEach(file -> {
            try {
              String path = source.relativize(file).toString().replace('\\', '/');
              files.put(
                  ROOT + name + "/" + path,
                  new File(Files.readAllBytes(file), Files.isExecutable(file)));
            } catch (IOException e) {
              throw new UncheckedIOException(e);
            }
          });
    }
  }

  private void runtime() throws IOException {
    Path work = Files.createTempDirectory("gatun-runtime");
    try {
      RuntimeImage.link(work.resolve("runtime"));
      folder("runtime", work.resolve("runtime"));
    } finally {
      delete(work);
    }
  }

  private static void delete(Path folder) throws IOException {
    try (Stream<Path> all = Files.walk(folder)) {
      for (Path path : all.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(path);
      }
    }
  }

  private Sizes write(Path output) throws IOException {
    Path target = output.toAbsolutePath();
    Path partial = target.resolveSibling("." + target.getFileName() + ".part");
    Map<String, Long> parts = new LinkedHashMap<>();
    try {
      Files.createDirectories(target.getParent());
      try (TarArchive archive = TarArchive.create(partial, TarArchive.Compression.of(target))) {
        for (Map.Entry<String, File> file : files.entrySet()) {
          byte[] content = file.getValue().content();
          archive.add(file.getKey(), content, file.getValue().program());
          String path = file.getKey().substring(ROOT.length());
          int slash = path.indexOf('/');
          parts.merge(
              slash < 0 ? path : path.substring(0, slash), (long) content.length, Long::sum);
        }
      }
      Files.move(partial, target, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(partial);
    }
    return new Sizes(Files.size(target), parts);
  }
}
