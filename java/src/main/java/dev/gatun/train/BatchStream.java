package dev.gatun.train;

import dev.gatun.data.DataCollator;
import dev.gatun.data.PackedBatch;
import dev.gatun.data.PreparedDataset;
import dev.gatun.train.UpdateOrder.Update;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.jspecify.annotations.Nullable;

/// The batches of a run, in order. While one update trains, a thread of its own collates the next;
/// what comes out does not depend on its timing.
final class BatchStream implements AutoCloseable {
  private final UpdateOrder order;
  private final PreparedDataset dataset;
  private final ExecutorService worker =
      Executors.newSingleThreadExecutor(Thread.ofPlatform().daemon().name("batches").factory());
  private @Nullable Future<Batches> next;
  private int step;

  /// One update's batches.
  record Batches(Update update, List<PackedBatch> microBatches) {}

  /// @param done updates that were made before, by the run that this one goes on with
  BatchStream(UpdateOrder order, PreparedDataset dataset, int done) {
    this.order = order;
    step = done;
    this.dataset = dataset;
    next = submit();
  }

  /// The next update, or null after the last.
  @Nullable Batches next() {
    Future<Batches> ready = next;
    if (ready == null) {
      return null;
    }
    Batches batches = await(ready);
    next = submit();
    return batches;
  }

  /// The first micro-batch of the update after the one that [#next] gave, if it is collated
  /// already.
  @Nullable PackedBatch ready() {
    Future<Batches> coming = next;
    return coming != null && coming.state() == Future.State.SUCCESS
        ? coming.resultNow().microBatches().getFirst()
        : null;
  }

  private @Nullable Future<Batches> submit() {
    if (step >= order.updates()) {
      return null;
    }
    int wanted = ++step;
    return worker.submit(() -> collate(order.update(wanted), dataset));
  }

  private static Batches collate(Update update, PreparedDataset dataset) {
    return new Batches(
        update,
        update.microBatches().stream().map(rows -> DataCollator.collate(dataset, rows)).toList());
  }

  private static Batches await(Future<Batches> future) {
    try {
      return future.get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CancellationException("interrupted while waiting for a batch");
    } catch (ExecutionException e) {
      if (e.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      throw new IllegalStateException(e.getCause());
    }
  }

  @Override
  public void close() {
    worker.shutdownNow();
  }
}
