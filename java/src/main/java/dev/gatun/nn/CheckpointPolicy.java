package dev.gatun.nn;

/// What the forward pass keeps for the backward pass. The result is bitwise the same.
public enum CheckpointPolicy {
  /// Everything backward reads.
  NONE,
  /// Only the input of every decoder layer; backward runs the layer forward again.
  PER_LAYER,
  /// As `PER_LAYER`, with the inputs in host memory: each is copied out while its layer runs and
  /// back while the backward pass is a layer above. Two inputs are in the backend's memory.
  OFFLOAD
}
