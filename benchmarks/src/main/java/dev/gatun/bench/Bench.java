package dev.gatun.bench;

import dev.gatun.FailureException;
import dev.gatun.InputException;
import dev.gatun.io.AtomicFiles;
import dev.gatun.io.PythonJson;
import dev.gatun.op.Backend;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `gatun bench`: kernels by default, `train` for whole training steps, `tokenize` for data, `jmh`
/// for the JMH benchmarks.
@Command(
    name = "gatun bench",
    mixinStandardHelpOptions = true,
    description =
        "Times every kernel at the shapes of an 8B model, against this device's ceilings.",
    subcommands = {TrainStepCommand.class, TokenizeCommand.class})
public final class Bench implements Callable<Integer> {
  /// Models to take shapes from.
  enum Shapes {
    LLAMA_8B(ModelShape.llama8b()),
    LLAMA_1B(ModelShape.llama1b()),
    TINY(ModelShape.tiny());

    private final ModelShape shape;

    Shapes(ModelShape shape) {
      this.shape = shape;
    }
  }

  @Option(
      names = "--filter",
      paramLabel = "REGEX",
      description = "Only cases whose line matches: attention, 'linear_forward M=1 '.")
  private String filter = "";

  @Option(
      names = "--shapes",
      paramLabel = "NAME",
      description = "${COMPLETION-CANDIDATES} (default: llama_8b on a GPU, tiny on the CPU).")
  private @Nullable Shapes shapes;

  @Option(
      names = "--tokens",
      paramLabel = "N",
      description = "Packed tokens of a batch, a multiple of 16 (default: those of the shapes).")
  private @Nullable Integer tokens;

  @Option(
      names = "--samples",
      paramLabel = "N",
      description = "The median of so many counts (default: ${DEFAULT-VALUE}).")
  private int samples = 15;

  @Option(
      names = "--device",
      paramLabel = "DEVICE",
      description = "cpu, cuda, cuda:N or auto (default: ${DEFAULT-VALUE}).")
  private String device = "auto";

  @Option(names = "--json", paramLabel = "FILE", description = "Write the figures here too.")
  private @Nullable Path json;

  @Spec private CommandSpec spec;

  /// Runs a command and ends the process.
  public static void main(String[] arguments) {
    // The product's: the tokenizer library tells much.
    System.setProperty("logback.configurationFile", "dev/gatun/cli/logback.xml");
    System.setProperty("gatun.log.level", "ERROR");
    PrintWriter out = new PrintWriter(System.out, true, System.out.charset());
    PrintWriter err = new PrintWriter(System.err, true, System.err.charset());
    System.exit(execute(out, err, arguments));
  }

  /// Runs a command and returns its exit code: 2 for wrong input, 1 for other failures.
  static int execute(PrintWriter out, PrintWriter err, String... arguments) {
    return new CommandLine(new Bench())
        .addSubcommand(
            new CommandLine(new JmhCommand()).setUnmatchedOptionsArePositionalParams(true))
        .setOut(out)
        .setErr(err)
        .setCaseInsensitiveEnumValuesAllowed(true)
        .setExecutionExceptionHandler((e, _, _) -> {
          if (!(e instanceof InputException || e instanceof FailureException)) {
            throw e;
          }
          err.println("gatun bench: " + e.getMessage());
          return e instanceof InputException ? 2 : 1;
        })
        .execute(arguments);
  }

  @Override
  public Integer call() {
    if (samples < 1) {
      throw new InputException("--samples is %d; take at least 1".formatted(samples));
    }
    if (tokens != null && (tokens < 16 || tokens % 16 != 0)) {
      throw new InputException("--tokens is %d; take a multiple of 16".formatted(tokens));
    }
    try (MeasuredDevice measured = MeasuredDevice.open(device)) {
      Backend backend = measured.backend();
      Shapes chosen = shapes != null ? shapes : measured.isGpu() ? Shapes.LLAMA_8B : Shapes.TINY;
      ModelShape shape = tokens == null ? chosen.shape : chosen.shape.withTokens(tokens);
      KernelBench.Plan plan = new KernelBench.Plan(shape, pattern(), samples);
      PrintWriter out = spec.commandLine().getOut();
      write(
          json,
          measured.timed(stopwatch -> {
            try (KernelBench bench = new KernelBench(backend, stopwatch, plan)) {
              return bench.run(out);
            }
          }));
      return 0;
    }
  }

  private Pattern pattern() {
    try {
      return Pattern.compile(filter);
    } catch (PatternSyntaxException e) {
      throw new InputException(
          "--filter '%s' is no regular expression (%s)".formatted(filter, e.getDescription()), e);
    }
  }

  /// Writes a report if a file is given.
  static void write(@Nullable Path file, Map<String, Object> report) {
    if (file != null) {
      AtomicFiles.writeText(file, PythonJson.format(report) + "\n");
    }
  }

  /// `gatun bench jmh`.
  @Command(name = "jmh", description = "JMH benchmarks; arguments are JMH's own (-h lists them).")
  static final class JmhCommand implements Callable<Integer> {
    @Parameters(arity = "0..*", description = "What JMH takes.")
    private String[] arguments = {};

    @Spec private CommandSpec spec;

    @Override
    public Integer call() throws IOException {
      spec.commandLine().getOut().flush();
      org.openjdk.jmh.Main.main(arguments);
      return 0;
    }
  }

  /// `12.3 GB`.
  static String gigabytes(long bytes) {
    return String.format(Locale.ROOT, "%.2f GB", bytes / 1e9);
  }
}
