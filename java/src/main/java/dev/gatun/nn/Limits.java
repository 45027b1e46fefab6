package dev.gatun.nn;

/// The largest batches a model must hold: what its arenas are sized for.
///
/// @param tokens packed tokens of a training or evaluation batch, `T`
/// @param sequences sequences of such a batch, `S`
/// @param trainedRows rows with a target of such a batch
/// @param longestSequence largest position + 1, in batches and in the key/value cache
/// @param decodeTokens new tokens of one [CausalLm#decode] call; 0 if the model never generates
/// @param decodeSequences sequences of one such call
public record Limits(
    int tokens,
    int sequences,
    int trainedRows,
    int longestSequence,
    int decodeTokens,
    int decodeSequences) {

  public Limits {
    if (tokens < 0 || sequences < 0 || trainedRows < 0 || trainedRows > tokens) {
      throw new IllegalArgumentException(
          "batch limits: " + tokens + " tokens, " + sequences + " sequences, " + trainedRows);
    }
    if (longestSequence < 1 || decodeTokens < decodeSequences || decodeSequences < 0) {
      throw new IllegalArgumentException(
          "decode limits: " + decodeTokens + " tokens of " + decodeSequences + " sequences");
    }
  }

  /// Limits of a model that trains and evaluates only, every row possibly trained.
  public static Limits training(int tokens, int sequences, int longestSequence) {
    return new Limits(tokens, sequences, tokens, longestSequence, 0, 0);
  }

  /// Limits of a model that generates only.
  public static Limits generation(int promptTokens, int sequences, int longestSequence) {
    return new Limits(0, 0, 0, longestSequence, promptTokens, sequences);
  }

  /// What keeps these limits or the others keeps the result.
  public Limits or(Limits other) {
    return new Limits(
        Math.max(tokens, other.tokens),
        Math.max(sequences, other.sequences),
        Math.max(trainedRows, other.trainedRows),
        Math.max(longestSequence, other.longestSequence),
        Math.max(decodeTokens, other.decodeTokens),
        Math.max(decodeSequences, other.decodeSequences));
  }

  /// These limits with room for [CausalLm#decode].
  public Limits withDecode(int newTokens, int newSequences) {
    return new Limits(tokens, sequences, trainedRows, longestSequence, newTokens, newSequences);
  }
}
