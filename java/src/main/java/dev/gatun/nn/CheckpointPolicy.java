package dev.gatun.nn;

import dev.gatun.nn.LayerCheckpoint.Extent;
import dev.gatun.nn.LayerCheckpoint.Place;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/// The same for all layers but the last, which is kept whole: its backward comes next, so that
/// keeping it costs no more memory than running it again.
public enum CheckpointPolicy implements Checkpointing {
  /// Everything backward reads.
  NONE(LayerCheckpoint.WHOLE),
  /// Only the input of every decoder layer; backward runs the layer forward again.
  PER_LAYER(new LayerCheckpoint(Extent.INPUT, Place.DEVICE)),
  /// As `PER_LAYER`, with the inputs in host memory: each is copied out while its layer runs and
  /// back while the backward pass is a layer above. Two inputs are in the backend's memory.
  OFFLOAD(new LayerCheckpoint(Extent.INPUT, Place.HOST));

  private final LayerCheckpoint each;

  CheckpointPolicy(LayerCheckpoint each) {
    this.each = each;
  }

  @Override
  public List<LayerCheckpoint> layers(int count) {
    List<LayerCheckpoint> layers = new ArrayList<>(Collections.nCopies(count - 1, each));
    layers.add(LayerCheckpoint.WHOLE);
    return layers;
  }
}
