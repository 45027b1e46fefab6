package dev.gatun.train;

import dev.gatun.InputException;
import dev.gatun.data.PreparedDataset;
import dev.gatun.nn.CheckpointPlanner;
import dev.gatun.nn.Limits;
import dev.gatun.op.Backend;
import dev.gatun.train.SftConfig.GradientCheckpointing;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;
import org.jspecify.annotations.Nullable;

/// What a run will take, from headers, tokenised data and configuration alone: no weight is read
/// and nothing is reserved.
///
/// @param memory the plan that the run itself would make
/// @param trainableParameters elements of everything that is trained
/// @param totals amounts of the whole run
/// @param stepSeconds estimated time of a mean update; empty where the speed of the device is not
///   known
/// @param longest how long rows may be under each mode of checkpointing
public record TrainingPlan(
    MemoryPlan memory,
    long trainableParameters,
    Totals totals,
    OptionalDouble stepSeconds,
    List<Longest> longest) {
  // The card whose rates the estimate is made with.
  private static final double H100_FLOPS = 989.4e12;

  public TrainingPlan {
    longest = List.copyOf(longest);
  }

  /// Amounts of a whole run.
  ///
  /// @param rows of the training data, after packing
  /// @param updates optimiser steps
  /// @param microBatches forward and backward passes
  /// @param tokens that go through the model in training
  /// @param targets those of them that are trained
  /// @param squares sum of the squared lengths of all sequences
  public record Totals(
      int rows,
      int updates,
      int updatesPerEpoch,
      long microBatches,
      long tokens,
      long targets,
      double squares) {}

  /// The longest rows that fit.
  ///
  /// @param mode of `gradient_checkpointing`
  /// @param offloaded whether with `activation_offloading`
  /// @param tokens of each of `per_device_train_batch_size` rows; 0 if not even one token fits
  /// @param limited whether the model's positions are the limit, not memory
  public record Longest(
      GradientCheckpointing mode, boolean offloaded, int tokens, boolean limited) {}

  /// Plans.
  ///
  /// @param memory what arenas may take, whatever the device has; null for what the device and
  ///   `memory_limit` leave
  /// @throws InputException if configuration, checkpoint, tokenizer or data are wrong
  public static TrainingPlan of(SftConfig config, Backend backend, @Nullable Long memory) {
    try (Preparation preparation = Preparation.open(config)) {
      SftConfig effective = preparation.config();
      return new Planner(
              preparation.inputs(),
              backend,
              memory == null ? effective : effective.toBuilder().memoryLimit(memory).build(),
              memory == null ? backend.memoryBytes() : Long.MAX_VALUE)
          .plan();
    }
  }

  /// The plan of given inputs.
  private record Planner(TrainingInputs inputs, Backend backend, SftConfig config, long available) {
    TrainingPlan plan() {
      Limits limits = inputs.limits(config);
      RunMemory memory = RunMemory.plan(inputs, backend, config, limits, available);
      Totals totals = totals();
      List<Longest> longest = new ArrayList<>();
      for (GradientCheckpointing mode : GradientCheckpointing.values()) {
        longest.add(longest(mode, false));
        if (mode == GradientCheckpointing.ON && !backend.usesHostMemory()) {
          longest.add(longest(mode, true));
        }
      }
      return new TrainingPlan(
          memory.plan(), memory.parameterCount(), totals, stepSeconds(memory, totals), longest);
    }

    private Totals totals() {
      PreparedDataset rows = inputs.rows();
      UpdateOrder order = new UpdateOrder(rows.size(), config.loop());
      int[] targetCounts = new int[rows.size()];
      double[] squared = new double[rows.size()];
      for (int row = 0; row < rows.size(); row++) {
        targetCounts[row] = rows.targetCount(row);
        for (int length : rows.sequenceLengths(row)) {
          squared[row] += (double) length * length;
        }
      }
      long microBatches = 0;
      long tokens = 0;
      long targets = 0;
      double squares = 0;
      for (int step = 1; step <= order.updates(); step++) {
        for (int[] batch : order.update(step).microBatches()) {
          microBatches++;
          for (int row : batch) {
            tokens += rows.length(row);
            targets += targetCounts[row];
            squares += squared[row];
          }
        }
      }
      return new Totals(
          rows.size(),
          order.updates(),
          order.updatesPerEpoch(),
          microBatches,
          tokens,
          targets,
          squares);
    }

    private OptionalDouble stepSeconds(RunMemory memory, Totals totals) {
      double flops = backend.peakFlops();
      if (flops == 0) {
        return OptionalDouble.empty();
      }
      int tokens = Math.toIntExact(Math.max(1, totals.tokens() / totals.microBatches()));
      int sequence = Math.clamp(Math.round(totals.squares() / totals.tokens()), 1, tokens);
      Limits mean =
          new Limits(
              tokens,
              Math.ceilDiv(tokens, sequence),
              Math.toIntExact(totals.targets() / totals.microBatches()),
              sequence,
              0,
              0);
      double pass =
          CheckpointPlanner.seconds(
              inputs.checkpoint().config(),
              mean,
              memory.options().checkpointing(),
              RunMemory.needs(inputs, backend, config, mean));
      return OptionalDouble.of(
          pass * totals.microBatches() / totals.updates() * H100_FLOPS / flops);
    }

    /// By bisection: a longer row never takes less.
    private Longest longest(GradientCheckpointing mode, boolean offloaded) {
      SftConfig tried =
          config.toBuilder().gradientCheckpointing(mode).activationOffloading(offloaded).build();
      int most =
          Math.min(
              inputs.checkpoint().config().maxPositions(),
              Integer.MAX_VALUE / config.loop().perDeviceTrainBatchSize() - 1);
      int fits = 0;
      int fails = most + 1;
      int length = Math.min(512, most);
      while (fails - fits > 1) {
        if (fits(tried, length)) {
          fits = length;
        } else {
          fails = length;
        }
        length = fails > most ? Math.min(2 * fits, most) : (fits + fails) / 2;
      }
      return new Longest(mode, offloaded, fits, fits == most);
    }

    private boolean fits(SftConfig tried, int length) {
      return RunMemory.plan(inputs, backend, tried, limits(length), available).plan().fits();
    }

    /// A batch of rows of this length that are trained throughout; packed rows hold as many
    /// sequences for each token as those of the data.
    private Limits limits(int length) {
      int batch = config.loop().perDeviceTrainBatchSize();
      int tokens = batch * length;
      int sequences = batch;
      if (config.data().packing()) {
        Limits data = inputs.limits(config);
        long scaled = Math.ceilDiv((long) data.sequences() * tokens, (long) data.tokens());
        sequences = Math.clamp(scaled, batch, tokens);
      }
      return inputs.withAnswers(new Limits(tokens, sequences, tokens - sequences, length, 0, 0));
    }
  }
}
