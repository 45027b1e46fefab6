package dev.gatun.train;

import dev.gatun.InputException;
import dev.gatun.data.PackedBatch;
import dev.gatun.nn.BatchInput;
import dev.gatun.nn.CausalLm;
import dev.gatun.nn.DeviceBatch;
import dev.gatun.op.Fence;
import dev.gatun.op.TensorArena;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Two places for micro-batches in the backend's memory: while the work on one is under way, the
/// next goes into the other.
final class BatchFeed {
  /// @param arena holds one micro-batch
  /// @param used after the work on what lay there last
  record Place(TensorArena arena, Fence used) {}

  private record Ahead(PackedBatch batch, DeviceBatch uploaded) {}

  private final CausalLm model;
  private final List<Place> places;
  private int current;
  private @Nullable Ahead ahead;

  /// @param first stays the caller's, as `second` does
  BatchFeed(CausalLm model, Place first, Place second) {
    this.model = model;
    places = List.of(first, second);
  }

  /// A batch to work on, uploaded now unless it has been. The one before must have been
  /// [#launched].
  DeviceBatch take(PackedBatch batch) {
    Ahead known = ahead;
    ahead = null;
    DeviceBatch uploaded =
        known != null && known.batch() == batch ? known.uploaded() : uploadToOther(batch);
    current = 1 - current;
    return uploaded;
  }

  /// All work on the batch taken last has been issued.
  void launched() {
    places.get(current).used().mark();
  }

  /// Starts the upload of the batch that is probably taken next.
  void uploadAhead(PackedBatch batch) {
    ahead = null;
    try {
      ahead = new Ahead(batch, uploadToOther(batch));
    } catch (InputException _) {
      // What is wrong with it concerns its own update: taking the batch fails again.
    }
  }

  private DeviceBatch uploadToOther(PackedBatch batch) {
    Place other = places.get(1 - current);
    other.arena().release(0);
    return model.uploadAfter(other.used(), other.arena(), input(batch));
  }

  private static BatchInput input(PackedBatch batch) {
    PackedBatch.Targets targets = batch.targets();
    return new BatchInput(
        batch.inputIds(),
        batch.positionIds(),
        batch.sequenceLengths(),
        targets.rows(),
        targets.labels());
  }
}
