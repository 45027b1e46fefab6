package dev.gatun.data;

import dev.gatun.InputException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/// The order in which rows are trained, the same as that of transformers with accelerate.
public final class SampleOrder {
  private SampleOrder() {}

  /// A random permutation of `0 … n-1`: what `torch.randperm(n)` gives after `manual_seed(seed +
  /// epoch)`. Seed 42, epoch 0, n 10: 2 6 1 8 4 5 0 9 3 7.
  ///
  /// @param seed `data_seed`, else `seed`
  /// @param epoch number of the epoch, from 0
  public static int[] random(long seed, int epoch, int n) {
    MersenneTwister generator = new MersenneTwister(seed + epoch);
    int[] order = sequential(n);
    for (int i = 0; i < n - 1; i++) {
      int other = i + (int) Long.remainderUnsigned(generator.nextUnsignedInt(), n - i);
      int swapped = order[i];
      order[i] = order[other];
      order[other] = swapped;
    }
    return order;
  }

  /// `0 … n-1`.
  public static int[] sequential(int n) {
    return IntStream.range(0, n).toArray();
  }

  /// One epoch's rows per micro-batch, in order. The last may be short.
  ///
  /// @param batchSize `per_device_train_batch_size`
  /// @param dropLast `dataloader_drop_last`: leave out a short last one
  public static List<int[]> microBatches(int[] order, int batchSize, boolean dropLast) {
    if (batchSize < 1) {
      throw new InputException("per_device_train_batch_size must be at least 1.");
    }
    List<int[]> batches = new ArrayList<>();
    for (int start = 0; start < order.length; start += batchSize) {
      int end = Math.min(order.length, start + batchSize);
      if (end - start == batchSize || !dropLast) {
        batches.add(Arrays.copyOfRange(order, start, end));
      }
    }
    return batches;
  }

  /// One epoch's micro-batches grouped to updates. The last group has what is left, and counts as
  /// an update.
  ///
  /// @param accumulation `gradient_accumulation_steps`
  public static List<List<int[]>> updates(List<int[]> microBatches, int accumulation) {
    if (accumulation < 1) {
      throw new InputException("gradient_accumulation_steps must be at least 1.");
    }
    List<List<int[]>> updates = new ArrayList<>();
    for (int start = 0; start < microBatches.size(); start += accumulation) {
      int end = Math.min(microBatches.size(), start + accumulation);
      updates.add(List.copyOf(microBatches.subList(start, end)));
    }
    return updates;
  }

  /// Updates in one epoch of `n` rows.
  public static int updatesPerEpoch(int n, int batchSize, int accumulation, boolean dropLast) {
    int batches = dropLast ? n / batchSize : Math.ceilDiv(n, batchSize);
    return Math.ceilDiv(batches, accumulation);
  }
}
