package dev.gatun.train;

import dev.gatun.generate.Answer;
import java.time.Duration;
import java.util.List;
import java.util.OptionalDouble;

/// What an evaluation found: figures of one pass over the evaluation data.
///
/// @param loss mean over all targets
/// @param rowWeightedLoss TRL's `eval_loss`: the batches' mean losses, each weighted by its number
///   of rows, so it depends on the batch size
/// @param meanTokenAccuracy share of targets that had the largest logit, the mean over batches as
///   TRL logs it
/// @param entropy mean entropy of the predictions, the mean over batches as TRL logs it
/// @param targets trained tokens
/// @param rows dataset rows
/// @param sources loss of every source file; empty unless the data are given as several files
/// @param answers to held-out questions; empty if none are asked
public record EvaluationResult(
    double loss,
    double rowWeightedLoss,
    double meanTokenAccuracy,
    double entropy,
    long targets,
    long rows,
    Duration duration,
    List<SourceLoss> sources,
    List<Answer> answers) {
  public EvaluationResult {
    sources = List.copyOf(sources);
    answers = List.copyOf(answers);
  }

  /// The targets of one source file.
  ///
  /// @param name of the file, as far as it tells it from the others
  /// @param loss mean over them
  public record SourceLoss(String name, double loss, long targets) {}

  /// The same with losses of source files.
  EvaluationResult withSources(List<SourceLoss> losses) {
    return new EvaluationResult(
        loss,
        rowWeightedLoss,
        meanTokenAccuracy,
        entropy,
        targets,
        rows,
        duration,
        losses,
        answers);
  }

  /// The same with answers.
  EvaluationResult withAnswers(List<Answer> given) {
    return new EvaluationResult(
        loss, rowWeightedLoss, meanTokenAccuracy, entropy, targets, rows, duration, sources, given);
  }

  /// Answers that are the expected ones.
  public int matches() {
    return (int) answers.stream().filter(Answer::match).count();
  }

  /// Share of the answers that are the expected ones; empty if no questions are asked.
  public OptionalDouble exactMatch() {
    return answers.isEmpty()
        ? OptionalDouble.empty()
        : OptionalDouble.of((double) matches() / answers.size());
  }

  /// `exp(loss)`.
  public double perplexity() {
    return Math.exp(loss);
  }
}
