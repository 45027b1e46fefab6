package dev.gatun.cli;

import dev.gatun.cuda.Device;
import dev.gatun.cuda.Installation;
import dev.gatun.cuda.LibraryReport;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/// `gatun doctor`.
@Command(
    name = "doctor",
    description = "Shows what this machine offers: what was found, what is missing, the remedy.")
final class DoctorCommand implements Callable<Integer> {
  /// Vector extensions worth naming, widest first, as /proc/cpuinfo spells them.
  private static final List<String> EXTENSIONS =
      List.of("amx_bf16", "avx512_bf16", "avx512f", "avx2", "fma", "sve", "asimd");

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    jdk(out);
    cpu(out);
    memory(out);
    gpu(out, Installation.probe());
    return 0;
  }

  private static void jdk(PrintWriter out) {
    found(
        out,
        "JDK",
        Runtime.version()
            + ", "
            + System.getProperty("java.vendor")
            + ", "
            + System.getProperty("java.home"));
    found(out, "system", System.getProperty("os.name") + " " + System.getProperty("os.arch"));
  }

  private static void cpu(PrintWriter out) {
    int threads = Runtime.getRuntime().availableProcessors();
    found(out, "CPU", processor().orElse("unknown model") + ", " + threads + " threads");
    String extensions = String.join(" ", extensions());
    found(out, "extensions", extensions.isEmpty() ? "unknown" : extensions);
    if (ModuleLayer.boot().findModule("jdk.incubator.vector").isPresent()) {
      found(out, "vector API", "on");
    } else {
      missing(
          out,
          "vector API",
          "off: training is several times slower; start with ./gatun, or add"
              + " --add-modules jdk.incubator.vector to java");
    }
  }

  private static void memory(PrintWriter out) {
    String physical = "";
    if (java.lang.management.ManagementFactory.getOperatingSystemMXBean()
        instanceof com.sun.management.OperatingSystemMXBean system) {
      physical =
          Sizes.bytes(system.getTotalMemorySize())
              + ", "
              + Sizes.bytes(available(system))
              + " available; ";
    }
    found(
        out,
        "memory",
        physical + "Java heap up to " + Sizes.bytes(Runtime.getRuntime().maxMemory()));
  }

  private static void gpu(PrintWriter out, Installation cuda) {
    cuda.driver()
        .version()
        .ifPresent(v -> found(out, "driver", "supports CUDA " + v + at(cuda.driver())));
    cuda.kernels()
        .ifPresentOrElse(
            k ->
                found(
                    out,
                    "kernels",
                    "PTX " + k.ptxVersion() + ", for drivers from R" + k.driverSeries() + " on"),
            () -> missing(out, "kernels", "this build has none: build with nvcc of CUDA 13"));
    cuda.gpus().forEach(device -> found(out, "GPU " + device.ordinal(), describe(device)));
    cuda.problem().ifPresent(problem -> missing(out, "GPU", problem));
    for (Installation.Library library : cuda.libraries()) {
      LibraryReport report = library.report();
      String purpose = "for " + library.purpose();
      report
          .problem()
          .ifPresentOrElse(
              why -> missing(out, report.name(), purpose + ": " + why),
              () ->
                  found(
                      out,
                      report.name(),
                      report.version().orElse("unknown version") + at(report) + ", " + purpose));
    }
    out.println();
    out.println(
        cuda.problem().isEmpty()
            ? "Training runs on the GPU (--device auto, or cuda:N)."
            : "Training runs on the CPU: what is missing above costs speed only.");
  }

  private static String describe(Device device) {
    Device.Clocks clocks = device.clocks();
    return "%s, %s, compute capability %s, %d SMs at %d MHz, memory at %d MHz x %d bit"
        .formatted(
            device.name(),
            Sizes.bytes(device.memoryBytes()),
            device.capabilityText(),
            device.multiprocessors(),
            clocks.coreKilohertz() / 1000,
            clocks.memoryKilohertz() / 1000,
            clocks.memoryBusBits());
  }

  private static String at(LibraryReport library) {
    return library.path().map(path -> ", " + path).orElse("");
  }

  private static Optional<String> processor() {
    return cpuInfo("model name").or(() -> cpuInfo("CPU part"));
  }

  private static List<String> extensions() {
    String flags = " " + cpuInfo("flags").or(() -> cpuInfo("Features")).orElse("") + " ";
    return EXTENSIONS.stream().filter(name -> flags.contains(" " + name + " ")).toList();
  }

  /// A field of /proc/cpuinfo's first processor; empty on systems without that file.
  private static Optional<String> cpuInfo(String field) {
    try (Stream<String> lines = Files.lines(Path.of("/proc/cpuinfo"))) {
      return lines
          .filter(line -> line.startsWith(field) && line.contains(":"))
          .map(line -> line.substring(line.indexOf(':') + 1).strip())
          .findFirst();
    } catch (IOException e) {
      return Optional.empty();
    }
  }

  /// Memory that can be had without swapping: free memory and what the page cache would give back.
  private static long available(com.sun.management.OperatingSystemMXBean system) {
    try (Stream<String> lines = Files.lines(Path.of("/proc/meminfo"))) {
      long cached =
          lines
              .filter(line -> line.startsWith("MemAvailable:"))
              .mapToLong(line -> Long.parseLong(line.replaceAll("[^0-9]", "")) * 1024)
              .findFirst()
              .orElse(0);
      return cached == 0
          ? system.getFreeMemorySize()
          : Math.min(cached, system.getTotalMemorySize());
    } catch (IOException e) {
      return system.getFreeMemorySize();
    }
  }

  private static void found(PrintWriter out, String what, String detail) {
    out.printf("ok       %-11s %s%n", what, detail);
  }

  private static void missing(PrintWriter out, String what, String detail) {
    out.printf("missing  %-11s %s%n", what, detail);
  }
}
