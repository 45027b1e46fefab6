package dev.gatun.cli.bundle;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// A bundle of the classes under test, unpacked and run where no Java can be found.
@Tag("slow")
class BundleTest {
  @TempDir static Path folder;
  private static Path unpacked = Path.of("");

  @BeforeAll
  static void makeAndUnpack() throws IOException, InterruptedException {
    List<Path> classPath =
        Arrays.stream(
                System.getProperty(
                        "surefire.test.class.path", System.getProperty("java.class.path"))
                    .split(File.pathSeparator))
            .map(Path::of)
            .filter(Files::exists)
            .toList();
    Path tests =
        classPath.stream()
            .filter(path -> Files.isRegularFile(path.resolve("conformance/README.md")))
            .findFirst()
            .orElseThrow();
    List<Path> rest = new ArrayList<>(classPath);
    rest.remove(tests);
    Path archive = folder.resolve("bundle.tar.gz");
    Bundle.write(archive, new Bundle.Inputs(rest, List.of(tests), List.of(), List.of()));
    Path target = Files.createDirectory(folder.resolve("some where"));
    assertThat(run(folder, "tar", "xzf", archive.toString(), "-C", target.toString()).status())
        .isZero();
    unpacked = target.resolve("gatun");
  }

  private record Result(int status, String output) {}

  private static Result run(Path directory, String... command)
      throws IOException, InterruptedException {
    Path output = Files.createTempFile(folder, "output", ".txt");
    ProcessBuilder builder =
        new ProcessBuilder(command)
            .directory(directory.toFile())
            .redirectErrorStream(true)
            .redirectOutput(output.toFile());
    Map<String, String> environment = builder.environment();
    environment.clear();
    environment.put("PATH", "/usr/bin:/bin");
    environment.put("HOME", folder.toString());
    Process process = builder.start();
    assertThat(process.waitFor(2, TimeUnit.MINUTES)).isTrue();
    return new Result(process.exitValue(), Files.readString(output));
  }

  private static Result bundled(String... arguments) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(List.of(unpacked.resolve("run").toString()));
    command.addAll(List.of(arguments));
    return run(folder, command.toArray(String[]::new));
  }

  @Test
  void theDoctorSeesTheRuntimeOfTheBundle() throws IOException, InterruptedException {
    Result doctor = bundled("gatun", "doctor");

    assertThat(doctor.status()).as(doctor.output()).isZero();
    assertThat(doctor.output())
        .contains(unpacked.resolve("runtime").toString())
        .containsPattern("ok +vector API +on");
  }

  @Test
  void theConformanceKitRuns() throws IOException, InterruptedException {
    Result conformance =
        bundled("gatun", "conformance", "--part", "nf4,ce", unpacked + "/tests/conformance");

    assertThat(conformance.status()).as(conformance.output()).isZero();
    assertThat(conformance.output()).contains(" passed, 0 failed");
  }

  @Test
  void chosenTestsRun() throws IOException, InterruptedException {
    Result test = bundled("test", "--select-class", "dev.gatun.io.SafeTensorsTest");

    assertThat(test.status()).as(test.output()).isZero();
    assertThat(test.output())
        .containsPattern("[1-9]\\d* tests successful")
        .contains("0 tests failed");
  }

  @Test
  void parquetIsRefusedInOneSentence() throws IOException, InterruptedException {
    Result generate =
        bundled("gatun", "conformance", "--part", "data", unpacked + "/tests/conformance");

    assertThat(generate.output()).contains("no Parquet library").doesNotContain("\tat ");
  }

  @Test
  void withoutACommandItSaysWhatThereIs() throws IOException, InterruptedException {
    Result usage = bundled();

    assertThat(usage.status()).isEqualTo(2);
    assertThat(usage.output()).contains("run gatun", "run test", "run bench");
  }
}
