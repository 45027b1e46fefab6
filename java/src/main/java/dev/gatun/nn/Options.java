package dev.gatun.nn;

/// How a model trains.
///
/// @param lossChunkRows trained rows whose logits exist at a time
/// @param labelSmoothing in [0, 1)
/// @param neftuneAlpha strength of the noise on embeddings while training; 0 for none
public record Options(
    Checkpointing checkpointing, int lossChunkRows, float labelSmoothing, float neftuneAlpha) {
  private static final long LOGITS_BYTES = 300_000_000;
  private static final long CHUNK_UNIT = 128;
  private static final long MOST_CHUNK_ROWS = 1024;

  public Options {
    if (lossChunkRows < 1 || labelSmoothing < 0 || labelSmoothing >= 1 || neftuneAlpha < 0) {
      throw new IllegalArgumentException(
          "loss chunk %d, label smoothing %s, NEFTune %s"
              .formatted(lossChunkRows, labelSmoothing, neftuneAlpha));
    }
  }

  /// No checkpointing, 256 rows of logits, no smoothing, no noise.
  public static Options plain() {
    return new Options(CheckpointPolicy.NONE, 256, 0, 0);
  }

  /// The same with other checkpoints.
  public Options withCheckpointing(Checkpointing other) {
    return new Options(other, lossChunkRows, labelSmoothing, neftuneAlpha);
  }

  /// Rows whose logits are computed at a time: many, so that the products are large, but at most
  /// 300 MB of them in 16 bit. A function of the model alone, so that results are the same wherever
  /// it is trained.
  public static int lossChunkRows(int vocabulary) {
    long fitting = LOGITS_BYTES / (2L * vocabulary) / CHUNK_UNIT * CHUNK_UNIT;
    return Math.toIntExact(Math.clamp(fitting, CHUNK_UNIT, MOST_CHUNK_ROWS));
  }
}
