package dev.gatun.train;

import dev.gatun.InputException;
import dev.gatun.data.SampleOrder;
import dev.gatun.train.SftConfig.Loop;
import java.util.List;

/// Which rows each micro-batch of each update holds, and how long the run is: the arithmetic of
/// transformers' trainer. Not thread-safe.
public final class UpdateOrder {
  private final int rows;
  private final Loop loop;
  private final int microBatchesPerEpoch;
  private final int updatesPerEpoch;
  private final int updates;
  private int currentEpoch;
  private List<List<int[]>> currentUpdates = List.of();

  /// @param rows rows of the training set
  /// @throws InputException if there is not one batch in it
  public UpdateOrder(int rows, Loop loop) {
    this.rows = rows;
    this.loop = loop;
    int batch = loop.perDeviceTrainBatchSize();
    microBatchesPerEpoch = loop.dataloaderDropLast() ? rows / batch : Math.ceilDiv(rows, batch);
    if (microBatchesPerEpoch == 0) {
      throw new InputException(
          "the training data has %d rows, not enough for one batch of %d with dataloader_drop_last"
              .formatted(rows, batch));
    }
    updatesPerEpoch = Math.ceilDiv(microBatchesPerEpoch, loop.gradientAccumulationSteps());
    Integer maxSteps = loop.maxSteps();
    updates =
        maxSteps != null ? maxSteps : toCount(Math.ceil(updatesPerEpoch * loop.numTrainEpochs()));
    currentEpoch = -1;
  }

  private static int toCount(double count) {
    if (count > Integer.MAX_VALUE) {
      throw new InputException("num_train_epochs asks for more than 2^31 updates; lower it");
    }
    return (int) count;
  }

  /// One optimiser step.
  ///
  /// @param step from 1
  /// @param epoch share of the data seen after it, in epochs
  /// @param microBatches rows of each micro-batch
  /// @param endsEpoch whether it is the last of an epoch
  public record Update(int step, double epoch, List<int[]> microBatches, boolean endsEpoch) {
    public Update {
      microBatches = List.copyOf(microBatches);
    }
  }

  /// Optimiser steps of the whole run.
  public int updates() {
    return updates;
  }

  /// A short last accumulation counts.
  public int updatesPerEpoch() {
    return updatesPerEpoch;
  }

  /// Epochs that are at least begun.
  public int epochs() {
    return loop.maxSteps() != null
        ? Math.ceilDiv(updates, updatesPerEpoch)
        : (int) Math.ceil(loop.numTrainEpochs());
  }

  /// Update `step`, from 1. Cheap while steps ascend within an epoch.
  public Update update(int step) {
    int epoch = (step - 1) / updatesPerEpoch;
    int inEpoch = (step - 1) % updatesPerEpoch;
    if (epoch != currentEpoch) {
      currentUpdates =
          SampleOrder.updates(
              SampleOrder.microBatches(
                  order(epoch), loop.perDeviceTrainBatchSize(), loop.dataloaderDropLast()),
              loop.gradientAccumulationSteps());
      currentEpoch = epoch;
    }
    int microBatchesDone =
        Math.min(microBatchesPerEpoch, (inEpoch + 1) * loop.gradientAccumulationSteps());
    return new Update(
        step,
        epoch + (double) microBatchesDone / microBatchesPerEpoch,
        currentUpdates.get(inEpoch),
        inEpoch + 1 == updatesPerEpoch);
  }

  private int[] order(int epoch) {
    return switch (loop.trainSamplingStrategy()) {
      case RANDOM -> SampleOrder.random(loop.orderSeed(), epoch, rows);
      case SEQUENTIAL -> SampleOrder.sequential(rows);
    };
  }
}
