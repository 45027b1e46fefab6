package dev.gatun.cli;

import dev.gatun.InputException;
import dev.gatun.generate.Answer;
import dev.gatun.op.Backend;
import dev.gatun.train.EvaluationReport;
import dev.gatun.train.EvaluationReport.Figures;
import dev.gatun.train.EvaluationReport.SourceFile;
import dev.gatun.train.EvaluationReport.WorstRow;
import dev.gatun.train.MemoryPlan;
import dev.gatun.train.ModelEvaluation;
import dev.gatun.train.SftConfig;
import dev.gatun.train.SftConfigReader;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SequencedMap;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import tools.jackson.databind.json.JsonMapper;

/// `gatun evaluate`.
@Command(
    name = "evaluate",
    description = "Evaluates a trained model on held-out data: loss, perplexity, accuracy.")
final class EvaluateCommand implements Callable<Integer> {
  @Mixin private ConfigOptions.WithDevice options;

  @Option(
      names = "--adapter",
      paramLabel = "DIR",
      description = "Adapter to evaluate (default: output_dir; without use_peft, the model there).")
  private @Nullable Path adapter;

  @Option(names = "--base", description = "Evaluate the base model without an adapter.")
  private boolean base;

  @Option(
      names = "--data",
      paramLabel = "FILE",
      description = "Data to evaluate on; repeatable (default: eval_dataset_path).")
  private List<Path> data = List.of();

  @Option(
      names = "--worst",
      paramLabel = "N",
      description = "Show the N rows with the largest loss (default: ${DEFAULT-VALUE}).")
  private int worst;

  @Option(names = "--json", description = "Print JSON instead.")
  private boolean json;

  @Spec private CommandSpec spec;

  /// What is evaluated.
  private record Subject(SftConfig config, @Nullable Path adapter) {
    Path path() {
      return adapter == null ? config.model().modelNameOrPath() : adapter;
    }
  }

  @Override
  public Integer call() {
    if (worst < 0) {
      throw new InputException("--worst takes a number of rows, not " + worst);
    }
    SftConfigReader.Loaded read = options.read();
    Subject subject = subject(read.config());
    SftConfig config = subject.config();
    PrintWriter out = spec.commandLine().getOut();
    try (Backend backend = Device.open(config.model().device())) {
      if (!json) {
        read.notices().forEach(notice -> out.println("notice: " + notice));
        out.println("device: " + backend.description());
        out.flush();
      }
      SequencedMap<String, List<Path>> sets =
          data.isEmpty() ? config.data().evalDatasets() : new LinkedHashMap<>(Map.of("", data));
      try (ModelEvaluation evaluation =
          ModelEvaluation.open(config, backend, subject.adapter(), sets)) {
        if (!json) {
          out.print(evaluation.memoryPlan().table());
          out.flush();
        }
        EvaluationReport report = evaluation.run(worst);
        if (json) {
          out.println(
              JsonMapper.shared()
                  .writerWithDefaultPrettyPrinter()
                  .writeValueAsString(
                      json(subject, evaluation.memoryPlan(), report, byName(sets, report))));
        } else {
          print(out, subject, report, byName(sets, report));
        }
      }
    }
    return 0;
  }

  /// A run without an adapter leaves a checkpoint, which takes the place of the base model.
  private Subject subject(SftConfig config) {
    if (base && adapter != null) {
      throw new InputException("--base and --adapter exclude each other; give one of them");
    }
    if (base || adapter != null) {
      return new Subject(config, adapter);
    }
    Path output = config.output().outputDir();
    return config.lora() != null
        ? new Subject(config, output)
        : new Subject(config.toBuilder().modelNameOrPath(output).build(), null);
  }

  /// The files of each dataset, as they were given in the order of the datasets.
  private static SequencedMap<String, List<SourceFile>> byName(
      SequencedMap<String, List<Path>> sets, EvaluationReport report) {
    SequencedMap<String, List<SourceFile>> byName = new LinkedHashMap<>();
    int from = 0;
    for (Map.Entry<String, List<Path>> set : sets.entrySet()) {
      int to = from + set.getValue().size();
      byName.put(set.getKey(), report.files().subList(from, to));
      from = to;
    }
    return byName;
  }

  private static void print(
      PrintWriter out,
      Subject subject,
      EvaluationReport report,
      SequencedMap<String, List<SourceFile>> byName) {
    out.println("model: " + subject.path());
    byName.forEach((name, files) -> {
      if (report.files().size() > 1) {
        String prefix = name.isEmpty() ? "" : name + ": ";
        files.forEach(each -> out.println(line(prefix + each.path(), each.figures())));
      }
      if (!name.isEmpty() && files.size() > 1) {
        out.println(line(name, Figures.total(files)));
      }
    });
    out.println(
        line(
            report.files().size() == 1 ? report.files().getFirst().path().toString() : "all",
            report.total()));
    report
        .answers()
        .forEach((name, answers) ->
            out.printf(
                "%sexact match: %s (%d of %d)%n",
                name.isEmpty() ? "" : name + ": ",
                Sizes.share(matches(answers), answers.size()),
                matches(answers),
                answers.size()));
    if (!report.worst().isEmpty()) {
      out.println("rows with the largest loss:");
    }
    for (WorstRow row : report.worst()) {
      out.printf(
          Locale.ROOT,
          "  %s (row %d)  %,d tokens, %,d trained  loss %.4f  %s%n",
          row.source(),
          row.row(),
          row.tokens(),
          row.targets(),
          row.loss(),
          JsonMapper.shared().writeValueAsString(row.text()));
    }
  }

  private static long matches(List<Answer> answers) {
    return answers.stream().filter(Answer::match).count();
  }

  private static String line(String name, Figures figures) {
    return String.format(
        Locale.ROOT,
        "%s: loss %.4f  perplexity %.4g  token accuracy %.2f %%  %,d rows, %,d trained tokens",
        name,
        figures.loss(),
        figures.perplexity(),
        100 * figures.tokenAccuracy(),
        figures.rows(),
        figures.targets());
  }

  private static Map<String, Object> json(
      Subject subject,
      MemoryPlan memory,
      EvaluationReport report,
      SequencedMap<String, List<SourceFile>> byName) {
    Map<String, Object> arenas = new LinkedHashMap<>();
    memory.lines().forEach(line -> arenas.put(line.arena(), line.bytes()));
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("model", subject.path().toString());
    json.putAll(json(report.total()));
    if (!byName.containsKey("")) {
      Map<String, Object> datasets = new LinkedHashMap<>();
      byName.forEach((name, files) -> {
        Map<String, Object> entry = json(Figures.total(files));
        entry.put("files", files(files));
        addAnswers(entry, report.answers().get(name));
        datasets.put(name, entry);
      });
      json.put("datasets", datasets);
    }
    json.put("files", files(report.files()));
    json.put("arena_bytes", arenas);
    json.put("total_bytes", memory.totalBytes());
    json.put("worst", report.worst().stream().map(EvaluateCommand::json).toList());
    addAnswers(json, report.answers().get(""));
    return json;
  }

  private static void addAnswers(Map<String, Object> json, @Nullable List<Answer> answers) {
    if (answers != null) {
      json.put("exact_match", (double) matches(answers) / answers.size());
      json.put("answers", answers.stream().map(EvaluateCommand::json).toList());
    }
  }

  private static List<Map<String, Object>> files(List<SourceFile> files) {
    List<Map<String, Object>> list = new ArrayList<>();
    for (SourceFile file : files) {
      Map<String, Object> entry = new LinkedHashMap<>();
      entry.put("file", file.path().toString());
      entry.putAll(json(file.figures()));
      list.add(entry);
    }
    return list;
  }

  private static Map<String, Object> json(Figures figures) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("loss", figures.loss());
    json.put("perplexity", figures.perplexity());
    json.put("token_accuracy", figures.tokenAccuracy());
    json.put("entropy", figures.entropy());
    json.put("rows", figures.rows());
    json.put("trained_tokens", figures.targets());
    return json;
  }

  private static Map<String, Object> json(WorstRow row) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("file", row.file().toString());
    json.put("row", row.row());
    json.put("source", row.source());
    json.put("tokens", row.tokens());
    json.put("trained_tokens", row.targets());
    json.put("loss", row.loss());
    json.put("text", row.text());
    return json;
  }

  private static Map<String, Object> json(Answer answer) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("prompt", answer.question().prompt());
    json.put("expected", answer.question().expected());
    json.put("generated", answer.generated());
    json.put("match", answer.match());
    return json;
  }
}
