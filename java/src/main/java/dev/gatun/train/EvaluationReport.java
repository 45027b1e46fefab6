package dev.gatun.train;

import dev.gatun.generate.Answer;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.function.ToDoubleFunction;

/// What a [ModelEvaluation] found.
///
/// @param files in the order given
/// @param total of all files together
/// @param worst rows with the largest mean loss, the largest first
/// @param answers to held-out questions by the name of the dataset; empty if
///   `eval_generation_samples` is 0
public record EvaluationReport(
    List<SourceFile> files,
    Figures total,
    List<WorstRow> worst,
    SequencedMap<String, List<Answer>> answers) {
  public EvaluationReport {
    answers = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(answers));
    files = List.copyOf(files);
    worst = List.copyOf(worst);
  }

  /// Figures over targets, whatever the batches.
  ///
  /// @param rows dataset rows, after packing
  /// @param targets trained tokens
  /// @param loss mean over the targets
  /// @param tokenAccuracy share of the targets that had the largest logit
  /// @param entropy mean entropy of the predictions
  public record Figures(
      long rows, long targets, double loss, double tokenAccuracy, double entropy) {
    static Figures of(long rows, BatchFigures sum) {
      return new Figures(rows, sum.targets(), sum.meanLoss(), sum.accuracy(), sum.meanEntropy());
    }

    /// Those of all targets of some files.
    public static Figures total(List<SourceFile> files) {
      long targets = files.stream().mapToLong(file -> file.figures().targets()).sum();
      return new Figures(
          files.stream().mapToLong(file -> file.figures().rows()).sum(),
          targets,
          mean(files, targets, Figures::loss),
          mean(files, targets, Figures::tokenAccuracy),
          mean(files, targets, Figures::entropy));
    }

    private static double mean(
        List<SourceFile> files, long targets, ToDoubleFunction<Figures> figure) {
      return files.stream()
              .mapToDouble(file -> figure.applyAsDouble(file.figures()) * file.figures().targets())
              .sum()
          / Math.max(1, targets);
    }

    /// `exp(loss)`.
    public double perplexity() {
      return Math.exp(loss);
    }
  }

  /// One file of evaluation data.
  public record SourceFile(Path path, Figures figures) {}

  /// A row that the model finds hard.
  ///
  /// @param file the file it comes from
  /// @param row its number among the file's prepared rows, from 1
  /// @param source where its first sample stands: `eval.jsonl line 7`
  /// @param tokens of the row
  /// @param targets trained tokens
  /// @param loss mean over its targets
  /// @param text its beginning, decoded
  public record WorstRow(
      Path file, int row, String source, int tokens, long targets, double loss, String text) {}
}
