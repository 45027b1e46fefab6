package dev.gatun.nn;

import java.util.List;

/// What the forward pass keeps of every decoder layer for the backward pass. The result is bitwise
/// the same whatever it keeps.
public sealed interface Checkpointing permits CheckpointPolicy, LayerCheckpoints {
  /// What is kept of each of `count` layers, the lowest first.
  List<LayerCheckpoint> layers(int count);

  /// Of how many layers, the highest, quantised weights are kept decoded.
  default int decodedLayers() {
    return 0;
  }
}
