package dev.gatun.train;

import dev.gatun.train.SftConfig.Interval;

/// Hugging Face's way of saying how often.
final class Steps {
  private Steps() {}

  /// Updates between two occurrences.
  ///
  /// @param setting a count, or below 1 a ratio of all updates
  static int every(double setting, int updates) {
    return (int) (setting < 1 ? Math.max(1, Math.ceil(setting * updates)) : setting);
  }

  /// Updates between two evaluations by count.
  static int everyEvaluation(SftConfig.Evaluation evaluation, int updates) {
    Double every = evaluation.evalSteps();
    return every(every == null ? evaluation.loggingSteps() : every, updates);
  }

  /// Whether an evaluation that is due is not too early.
  static boolean isDelayOver(SftConfig.Evaluation evaluation, UpdateOrder.Update update) {
    return switch (evaluation.evalStrategy()) {
      case NO -> false;
      case STEPS -> evaluation.evalDelay() <= update.step();
      case EPOCH -> evaluation.evalDelay() <= update.epoch();
    };
  }

  /// Whether something is due after an update.
  static boolean due(Interval interval, int everySteps, UpdateOrder.Update update) {
    return switch (interval) {
      case NO -> false;
      case STEPS -> update.step() % everySteps == 0;
      case EPOCH -> update.endsEpoch();
    };
  }
}
