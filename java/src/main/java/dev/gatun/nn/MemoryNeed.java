package dev.gatun.nn;

import java.util.List;

/// Bytes of each arena a model needs, known before anything is allocated. Weights, optimiser state
/// and key/value caches are counted by those who own them.
///
/// @param parameterBytes masters, gradients and compute copies of trainable parameters
/// @param activationBytes the largest of training, evaluation and decoding, scratch included
/// @param tableBytes rotary tables and the dropout state
/// @param decodedBytes decoded weights, see [Checkpointing#decodedLayers]
/// @param offloadBytes host memory for checkpoints, see [LayerCheckpoint.Place#HOST]
/// @param inputBytes one uploaded batch; the caller's arena, twice if the next batch uploads while
///   one trains
/// @param outputBytes the outputs of one batch; the caller's arena
/// @param parameterCount elements of all parameters the model holds itself
/// @param flatParameterCount the same with the gaps between them
/// @param parameters all parameters the model holds itself, without memory: what optimiser state is
///   sized by
public record MemoryNeed(
    long parameterBytes,
    long activationBytes,
    long tableBytes,
    long decodedBytes,
    long offloadBytes,
    long inputBytes,
    long outputBytes,
    long parameterCount,
    long flatParameterCount,
    List<Parameter> parameters) {
  public MemoryNeed {
    parameters = List.copyOf(parameters);
  }

  /// One batch with its outputs.
  public long batchBytes() {
    return inputBytes + outputBytes;
  }

  /// What the model itself reserves of the backend's memory.
  public long modelBytes() {
    return parameterBytes + activationBytes + tableBytes + decodedBytes;
  }
}
