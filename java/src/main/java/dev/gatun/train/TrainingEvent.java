package dev.gatun.train;

import dev.gatun.data.PreparationReport;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.OptionalDouble;
import java.util.SequencedMap;

/// What a training run reports.
public sealed interface TrainingEvent {
  /// Everything is loaded and planned; the first update comes next.
  ///
  /// @param evaluation how the evaluation data came out, by description: `evaluation data math`
  record Started(
      Schedule schedule,
      MemoryPlan plan,
      long trainableParameters,
      PreparationReport training,
      SequencedMap<String, PreparationReport> evaluation)
      implements TrainingEvent {
    public Started {
      evaluation = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(evaluation));
    }
  }

  /// How long a run is.
  ///
  /// @param updates optimiser steps in all
  /// @param updatesPerEpoch a short last accumulation counts
  /// @param epochs started epochs
  record Schedule(int updates, int updatesPerEpoch, int epochs) {}

  /// One optimiser step is done.
  ///
  /// @param step from 1
  /// @param epoch share of the data seen, in epochs
  /// @param loss mean over the targets of the whole accumulation group
  /// @param gradientNorm before clipping
  /// @param learningRate what this update used
  /// @param targets trained tokens of this update
  /// @param tokens tokens of this update
  /// @param microBatches forward passes of this update
  /// @param tokensSeen tokens of all updates so far
  /// @param meanTokenAccuracy share of targets that had the largest logit, the mean over
  ///   micro-batches
  /// @param entropy mean entropy of the predictions in nats, the mean over micro-batches
  /// @param elapsed since the first update began, evaluations and saves included
  /// @param duration of this update
  /// @param work what this update had to compute
  record StepFinished(
      int step,
      int steps,
      double epoch,
      double loss,
      double gradientNorm,
      double learningRate,
      int microBatches,
      long targets,
      long tokens,
      long tokensSeen,
      double meanTokenAccuracy,
      double entropy,
      Duration elapsed,
      Duration duration,
      Work work)
      implements TrainingEvent {
    /// Speed of this update.
    public double tokensPerSecond() {
      return tokens / Math.max(1e-9, duration.toNanos() * 1e-9);
    }

    /// Floating-point operations a second of this update.
    public double flopsPerSecond() {
      return work.flops() / Math.max(1e-9, duration.toNanos() * 1e-9);
    }

    /// That speed as a share of the device's peak; empty if the peak is not known.
    public OptionalDouble shareOfPeak() {
      return work.peakFlops() > 0
          ? OptionalDouble.of(flopsPerSecond() / work.peakFlops())
          : OptionalDouble.empty();
    }

    /// Time the remaining updates take at the mean speed so far.
    public Duration remaining() {
      return elapsed.dividedBy(step).multipliedBy(steps - (long) step);
    }
  }

  /// Operations that training calls for, however they are done, see [StepFlops].
  ///
  /// @param peakFlops what the device's maker promises a second; 0 if that is not known
  record Work(double flops, double peakFlops) {}

  /// Evaluation data was run through the model.
  ///
  /// @param step updates done
  /// @param dataset name of the data, empty for those without one
  record Evaluated(int step, double epoch, String dataset, EvaluationResult result)
      implements TrainingEvent {
    /// What a figure of it is called in the log: `eval_loss`, `eval_math_loss`.
    public String figure(String name) {
      return EvalMetric.figure(dataset, name);
    }
  }

  /// Adapter or weights were written.
  record Saved(int step, Path directory) implements TrainingEvent {}

  /// The run is over and everything is on disk.
  ///
  /// @param stopped whether `SftTrainer.stop` ended it early
  /// @param trainLoss mean of the losses of all updates
  record Finished(int step, boolean stopped, double trainLoss, Duration elapsed, Path directory)
      implements TrainingEvent {}

  /// A sentence for the user.
  record Notice(String message) implements TrainingEvent {}
}
