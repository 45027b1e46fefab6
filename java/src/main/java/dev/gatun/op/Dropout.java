package dev.gatun.op;

import dev.gatun.tensor.Tensor;

/// Inverted dropout with a counter-based generator: whether element `i` survives depends only on
/// the seed, the step counter, the stream and `i`, so a recomputed forward pass and the backward
/// pass see the same mask.
///
/// @param probability chance that an element is dropped, in [0, 1)
/// @param stream a number of its own for every use in the model
/// @param state I64 `[2]`: seed and micro-batch counter, in the backend's memory; the trainer
///   advances the counter
public record Dropout(float probability, int stream, Tensor state) {}
