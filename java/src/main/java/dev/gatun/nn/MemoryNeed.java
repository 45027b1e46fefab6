package dev.gatun.nn;

import java.util.List;

/// Bytes of each arena a model needs, known before anything is allocated. Weights, optimiser state
/// and key/value caches are counted by those who own them.
///
/// @param parameterBytes masters, gradients and compute copies of trainable parameters
/// @param activationBytes the largest of training, evaluation and decoding, scratch included
/// @param tableBytes rotary tables and the dropout state
/// @param inputBytes one uploaded batch and its outputs; the caller's arena, twice if the next
///   batch uploads while one trains
/// @param parameterCount elements of all parameters the model holds itself
/// @param flatParameterCount the same with the gaps between them
/// @param parameters all parameters the model holds itself, without memory: what optimiser state is
///   sized by
public record MemoryNeed(
    long parameterBytes,
    long activationBytes,
    long tableBytes,
    long inputBytes,
    long parameterCount,
    long flatParameterCount,
    List<Parameter> parameters) {
  public MemoryNeed {
    parameters = List.copyOf(parameters);
  }

  /// What the model itself reserves: everything but the inputs.
  public long modelBytes() {
    return parameterBytes + activationBytes + tableBytes;
  }
}
