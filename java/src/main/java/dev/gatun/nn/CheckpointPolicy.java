package dev.gatun.nn;

/// What the forward pass keeps for the backward pass.
public enum CheckpointPolicy {
  /// Everything backward reads.
  NONE,
  /// Only the input of every decoder layer; backward runs the layer forward again, with bitwise the
  /// same result.
  PER_LAYER
}
