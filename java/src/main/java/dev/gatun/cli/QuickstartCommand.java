package dev.gatun.cli;

import dev.gatun.InputException;
import dev.gatun.data.Dataset;
import dev.gatun.generate.Generator;
import dev.gatun.generate.LanguageModel;
import dev.gatun.generate.Sampler;
import dev.gatun.op.Backend;
import dev.gatun.report.RunReport;
import dev.gatun.train.SftConfig;
import dev.gatun.train.SftConfigReader;
import dev.gatun.train.TrainingRecipe;
import dev.gatun.train.TrainingResult;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
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

  /// One evaluation row.
  private record Question(String prompt, String answer) {}

  /// What the model answered.
  private record Answers(List<String> texts, int exact) {}

  @Override
  public Integer call() {
    long start = System.nanoTime();
    PrintWriter out = spec.commandLine().getOut();
    QuickstartFiles files = QuickstartFiles.unpack(output);
    SftConfig config = SftConfigReader.read(files.config(), overrides).config();
    List<Question> questions = questions(files.evaluation());
    say(
        "A 2.6 M-parameter Llama, %d notes to learn JSON from, %d to be asked about afterwards: %s"
            .formatted(countRows(config), questions.size(), files.directory()));
    try (Backend backend = Device.open(config.model().device())) {
      say("device: " + backend.description());
      Answers before = ask(config, backend, null, questions);
      say("exact match before: " + share(before, questions));
      TrainingResult result = TrainingRun.run(config, backend, out, parent.terminal());
      if (result.stopped()) {
        return Interrupts.EXIT_CODE;
      }
      Answers after = ask(config, backend, result.directory(), questions);
      show(questions, before, after);
      say("");
      say("exact match before: " + share(before, questions));
      say("exact match after:  " + share(after, questions));
    }
    say("time in all:        " + Sizes.time(Duration.ofNanos(System.nanoTime() - start)));
    next(files, config);
    return 0;
  }

  private static List<Question> questions(Path file) {
    List<Question> questions = new ArrayList<>();
    Dataset.open(file)
        .forEach(row -> {
          if (!(row.value("prompt") instanceof String prompt)
              || !(row.value("completion") instanceof String answer)) {
            throw new InputException(row.where() + " lacks prompt or completion.");
          }
          questions.add(new Question(prompt, answer));
        });
    return questions;
  }

  private static long countRows(SftConfig config) {
    long[] count = {0};
    Dataset.of(config.data().datasetPath()).forEach(_ -> count[0]++);
    return count[0];
  }

  /// Asks all questions; an answer is right if it is the expected text and the model then ended.
  private static Answers ask(
      SftConfig config, Backend backend, @Nullable Path adapter, List<Question> questions) {
    try (LanguageModel model =
        LanguageModel.open(
            backend, config.model().modelNameOrPath(), adapter, TrainingRecipe.format(config))) {
      List<int[]> prompts =
          model.tokenizer().encodeAll(questions.stream().map(Question::prompt).toList(), true);
      int longest =
          model
              .tokenizer()
              .encodeAll(questions.stream().map(Question::answer).toList(), false)
              .stream()
              .mapToInt(ids -> ids.length)
              .max()
              .orElse(1);
      Generator.Settings settings = new Generator.Settings(longest + 1, BATCH, Sampler.greedy());
      List<Generator.Completion> completions = new Generator(model).generate(prompts, settings);
      List<String> texts = new ArrayList<>();
      int exact = 0;
      for (int i = 0; i < completions.size(); i++) {
        Generator.Completion completion = completions.get(i);
        texts.add(model.tokenizer().decode(completion.ids(), true));
        exact += completion.ended() && texts.get(i).equals(questions.get(i).answer()) ? 1 : 0;
      }
      return new Answers(texts, exact);
    }
  }

  private static String share(Answers answers, List<Question> questions) {
    return "%s (%d of %d)"
        .formatted(
            Sizes.share(answers.exact(), questions.size()), answers.exact(), questions.size());
  }

  private void show(List<Question> questions, Answers before, Answers after) {
    for (int i = 0; i < Math.min(SHOWN, questions.size()); i++) {
      say("");
      say("note    " + questions.get(i).prompt().lines().findFirst().orElse(""));
      say("before  " + before.texts().get(i).replace('\n', ' '));
      say("after   " + after.texts().get(i));
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
