package dev.gatun.cli;

import dev.gatun.conformance.Checks.Figure;
import dev.gatun.conformance.Checks.Verdict;
import dev.gatun.conformance.ConformanceRunner;
import dev.gatun.conformance.Engine;
import dev.gatun.conformance.Part;
import dev.gatun.op.Backend;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `gatun conformance`.
@Command(
    name = "conformance",
    description = "Checks this engine against golden data of the Python implementations.")
final class ConformanceCommand implements Callable<Integer> {
  @Parameters(paramLabel = "DIR", description = "Folder of the conformance kit.")
  private Path kit;

  @Option(
      names = "--part",
      split = ",",
      paramLabel = "NAME",
      description = "Only this part, for example models, nf4, sft or sft/packing; repeatable.")
  private List<String> names = List.of();

  @Option(
      names = "--device",
      paramLabel = "DEVICE",
      description = "Where to compute (default: ${DEFAULT-VALUE}).")
  private String device = "cpu";

  @Option(names = "--strict", description = "Exit with 1 also when something is not supported.")
  private boolean strict;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    List<Part> parts = ConformanceRunner.parts(names);
    out.println(row("case", "figure", "measured", "tolerance") + "verdict");
    try (Backend backend = Device.open(device)) {
      ConformanceRunner.Summary summary =
          ConformanceRunner.run(kit, parts, new Engine(backend), outcome -> print(out, outcome));
      out.println(summary);
      boolean failed = summary.failed() > 0 || strict && summary.notSupported() > 0;
      return failed ? Gatun.FAILURE : 0;
    }
  }

  private static void print(PrintWriter out, ConformanceRunner.Outcome outcome) {
    String name = outcome.part() + "/" + outcome.name();
    if (outcome.figures().isEmpty()) {
      out.println(row(name, "checked nothing", "-", "-") + text(Verdict.FAILED));
    }
    for (Figure figure : outcome.figures()) {
      out.println(
          row(name, figure.figure(), figure.value(), figure.tolerance()) + text(figure.verdict()));
    }
    out.flush();
  }

  private static String row(String name, String figure, String value, String tolerance) {
    return "%-48s %-36s %-16s %-12s ".formatted(name, figure, value, tolerance);
  }

  private static String text(Verdict verdict) {
    return verdict.name().toLowerCase(Locale.ROOT).replace('_', ' ');
  }
}
