package dev.gatun.cli;

import dev.gatun.FailureException;
import dev.gatun.InputException;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.charset.Charset;
import java.nio.file.FileSystemException;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ScopeType;

/// The command line. Exit codes: 0 done, 2 wrong usage or wrong input, 1 anything else that went
/// wrong, 130 interrupted. Whatever goes wrong is one sentence on standard error.
@Command(
    name = "gatun",
    mixinStandardHelpOptions = true,
    scope = ScopeType.INHERIT, // every subcommand has --help, too
    versionProvider = Gatun.Version.class,
    description = "Fine-tunes large language models with QLoRA, on the JVM.",
    subcommands = {
      QuickstartCommand.class,
      TrainCommand.class,
      EvaluateCommand.class,
      GenerateCommand.class,
      PreviewCommand.class,
      PlanCommand.class,
      ReportCommand.class,
      InspectCommand.class,
      DoctorCommand.class,
      ConformanceCommand.class,
      InitModelCommand.class,
      BundleCommand.class,
    })
public final class Gatun {
  static final int FAILURE = 1;
  static final int USAGE = 2;

  @Option(
      names = "--verbose",
      scope = ScopeType.INHERIT,
      description = "Show log messages and the stack trace of an error.")
  private boolean verbose;

  private final Terminal terminal;

  /// A command line whose output is plain text.
  public Gatun() {
    this(Terminal.PLAIN);
  }

  Gatun(Terminal terminal) {
    this.terminal = terminal;
  }

  /// What the user looks at.
  Terminal terminal() {
    return terminal;
  }

  /// Runs one command and ends the process.
  public static void main(String[] arguments) {
    Logging.configure(List.of(arguments).contains("--verbose"));
    Terminal terminal = Terminal.detect();
    terminal.wipeWarning();
    Charset charset = System.out.charset();
    System.exit(
        new Gatun(terminal)
            .execute(
                new PrintWriter(System.out, true, charset),
                new PrintWriter(System.err, true, charset),
                arguments));
  }

  /// Runs one command on the given streams and returns the exit code.
  public int execute(PrintWriter out, PrintWriter err, String... arguments) {
    CommandLine line =
        new CommandLine(this)
            .setOut(out)
            .setErr(err)
            .setCaseInsensitiveEnumValuesAllowed(true)
            .setParameterExceptionHandler(Gatun::wrongUsage)
            .setExecutionExceptionHandler((e, command, _) -> report(e, command));
    try {
      return line.execute(arguments);
    } catch (OutOfMemoryError e) {
      return report(
          new FailureException(
              "Out of memory ("
                  + e.getMessage()
                  + "): use smaller batches or a smaller max_length, or raise the limit with"
                  + " GATUN_JAVA_OPTS=-Xmx4g.",
              e),
          line);
    } catch (LinkageError e) {
      return report(
          new FailureException(
              "A native library cannot be loaded (" + e.getMessage() + "): gatun doctor says more.",
              e),
          line);
    } finally {
      out.flush();
      err.flush();
    }
  }

  private static int wrongUsage(CommandLine.ParameterException e, String[] arguments) {
    CommandLine command = e.getCommandLine();
    PrintWriter err = command.getErr();
    err.println("gatun: " + e.getMessage());
    CommandLine.UnmatchedArgumentException.printSuggestions(e, err);
    err.println("Try '" + command.getCommandSpec().qualifiedName(" ") + " --help'.");
    return USAGE;
  }

  private int report(Exception e, CommandLine command) {
    PrintWriter err = command.getErr();
    command.getOut().flush();
    err.println("gatun: " + sentence(e));
    if (verbose) {
      e.printStackTrace(err);
    }
    return e instanceof InputException ? USAGE : FAILURE;
  }

  private static String sentence(Exception e) {
    return switch (e) {
      case InputException input -> message(input);
      case FailureException failure -> message(failure);
      case UncheckedIOException io -> sentence(Objects.requireNonNull(io.getCause()));
      case FileSystemException file ->
          file.getFile() + ": " + reason(file.getReason(), file.getClass().getSimpleName()) + ".";
      case IOException io -> "Reading or writing failed: " + message(io) + ".";
      default ->
          "Unexpected "
              + e.getClass().getSimpleName()
              + ": "
              + e.getMessage()
              + " (this is a bug; --verbose shows where).";
    };
  }

  private static String message(Exception e) {
    return reason(e.getMessage(), e.getClass().getSimpleName());
  }

  private static String reason(@Nullable String text, String otherwise) {
    return text == null ? otherwise : text;
  }

  /// Reads the version from the jar's manifest.
  static final class Version implements CommandLine.IVersionProvider {
    @Override
    public String[] getVersion() {
      return new String[] {
        "gatun " + reason(Gatun.class.getPackage().getImplementationVersion(), "(unpackaged)")
      };
    }
  }
}
