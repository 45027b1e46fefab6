package dev.gatun.cli;

import dev.gatun.data.Dataset;
import dev.gatun.generate.Answer;
import dev.gatun.generate.ExactMatch;
import dev.gatun.generate.Generator;
import dev.gatun.generate.LanguageModel;
import dev.gatun.generate.Question;
import dev.gatun.generate.QuestionReader;
import dev.gatun.generate.Sampler;
import dev.gatun.op.Backend;
import dev.gatun.report.RunReport;
import dev.gatun.text.Tokenizer;
import dev.gatun.train.SftConfig;
import dev.gatun.train.SftConfigReader;
import dev.gatun.train.TrainingRecipe;
import dev.gatun.train.TrainingResult;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/// `gatun quickstart`: the whole way on the bundled model and data.
@Command(
    name = "quickstart",
    description =
        "Fine-tunes a tiny bundled model with QLoRA and shows what it learned, in about a minute.")
final class QuickstartCommand implements Callable<Integer> {
  private static final int SHOWN = 3;
  private static final int BATCH = 50;

  @Option(
      names = "--output",
      paramLabel = "DIR",
      description = "New folder for model, data and adapter (default: ${DEFAULT-VALUE}).")
  private Path output = Path.of("quickstart");

  @Option(
      names = "--set",
      paramLabel = "KEY=VALUE",
      description = "Overrides a key of the configuration; repeatable.")
  private List<String> overrides = List.of();

  @ParentCommand private Gatun parent;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    long start = System.nanoTime();
    PrintWriter out = spec.commandLine().getOut();
    QuickstartFiles files = QuickstartFiles.unpack(output);
    SftConfig config = SftConfigReader.read(files.config(), overrides).config();
    List<Question> questions = questions(config, files.evaluation());
    say(
        "A 2.6 M-parameter Llama, %d notes to learn JSON from, %d to be asked about afterwards: %s"
            .formatted(countRows(config), questions.size(), files.directory()));
    try (Backend backend = Device.open(config.model().device())) {
      say("device: " + backend.description());
      List<Answer> before = ask(config, backend, null, questions);
      say("exact match before: " + share(before));
      TrainingResult result = TrainingRun.run(config, backend, out, parent.terminal());
      if (result.stopped()) {
        return Interrupts.EXIT_CODE;
      }
      List<Answer> after = ask(config, backend, result.directory(), questions);
      show(questions, before, after);
      say("");
      say("exact match before: " + share(before));
      say("exact match after:  " + share(after));
    }
    say("time in all:        " + Sizes.time(Duration.ofNanos(System.nanoTime() - start)));
    next(files, config);
    return 0;
  }

  private static List<Question> questions(SftConfig config, Path file) {
    try (Tokenizer tokenizer = Tokenizer.open(config.model().tokenizer())) {
      return QuestionReader.read(
              Dataset.open(file),
              Integer.MAX_VALUE,
              tokenizer,
              TrainingRecipe.dataOptions(config, true))
          .list();
    }
  }

  private static long countRows(SftConfig config) {
    long[] count = {0};
    Dataset.of(config.data().datasetPath()).forEach(_ -> count[0]++);
    return count[0];
  }

  private static List<Answer> ask(
      SftConfig config, Backend backend, @Nullable Path adapter, List<Question> questions) {
    try (LanguageModel model =
        LanguageModel.open(
            backend, config.model().modelNameOrPath(), adapter, TrainingRecipe.format(config))) {
      int longest =
          model
              .tokenizer()
              .encodeAll(questions.stream().map(Question::expected).toList(), false)
              .stream()
              .mapToInt(ids -> ids.length)
              .max()
              .orElse(1);
      Generator.Settings settings = new Generator.Settings(longest + 1, BATCH, Sampler.greedy());
      List<int[]> prompts = questions.stream().map(Question::ids).toList();
      return ExactMatch.whole()
          .judge(questions, new Generator(model).generate(prompts, settings), model.tokenizer());
    }
  }

  private static String share(List<Answer> answers) {
    long exact = answers.stream().filter(Answer::match).count();
    return "%s (%d of %d)".formatted(Sizes.share(exact, answers.size()), exact, answers.size());
  }

  private void show(List<Question> questions, List<Answer> before, List<Answer> after) {
    for (int i = 0; i < Math.min(SHOWN, questions.size()); i++) {
      say("");
      say("note    " + questions.get(i).prompt().lines().findFirst().orElse(""));
      say("before  " + before.get(i).generated().replace('\n', ' '));
      say("after   " + after.get(i).generated());
    }
  }

  private void next(QuickstartFiles files, SftConfig config) {
    String adapter = quoted(config.output().outputDir());
    String settings = quoted(files.config());
    say("");
    say("The adapter is in " + config.output().outputDir() + " in PEFT's format. Try next:");
    say("  gatun inspect " + adapter);
    say("  open " + quoted(config.output().outputDir().resolve(RunReport.FILE)) + " in a browser");
    say("  gatun preview " + settings);
    say(
        "  gatun generate "
            + adapter
            + " --load-in-4bit --prompt $'Kira needs 2 red lamps in Oslo by Friday.\\nJSON:'");
    say("  gatun train " + settings + " --set output_dir=mine --set learning_rate=1e-3");
  }

  /// A path as a shell wants it.
  private static String quoted(Path path) {
    String text = path.toString();
    return text.matches("[\\w./+-]+") ? text : "'" + text.replace("'", "'\\''") + "'";
  }

  private void say(String line) {
    PrintWriter out = spec.commandLine().getOut();
    out.println(line);
    out.flush();
  }
}
