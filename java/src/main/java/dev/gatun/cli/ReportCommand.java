package dev.gatun.cli;

import dev.gatun.InputException;
import dev.gatun.report.RunReport;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `gatun report`.
@Command(
    name = "report",
    description = "Writes an HTML page about a run, or one that compares several.")
final class ReportCommand implements Callable<Integer> {
  @Parameters(
      arity = "1..*",
      paramLabel = "RUN",
      description = "Output directories of training runs.")
  private List<Path> runs = List.of();

  @Option(
      names = "--output",
      paramLabel = "FILE",
      description = "Where to (default: report.html in RUN; for several here).")
  private @Nullable Path output;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    Path target = output;
    if (target == null) {
      Path file = Path.of(RunReport.FILE);
      target = runs.size() == 1 ? runs.getFirst().resolve(file) : file;
    }
    if (Files.exists(target) && !RunReport.isReport(target)) {
      throw new InputException(
          "%s exists and is no report; name another file with --output".formatted(target));
    }
    RunReport.write(runs, target);
    PrintWriter out = spec.commandLine().getOut();
    out.println(target);
    return 0;
  }
}
