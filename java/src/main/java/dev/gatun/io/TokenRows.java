package dev.gatun.io;

import dev.gatun.InputException;
import dev.gatun.model.ModelConfig;
import dev.gatun.model.ParameterLayout;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.SequencedSet;

/// Stored tensors in which the embedding and the head have rows for added tokens. A new row is the
/// mean of all rows before the first new one, summed in double precision and rounded to the stored
/// type: transformers' `resize_token_embeddings` draws around that mean with a deviation near zero;
/// the mean itself is the same on every machine.
final class TokenRows implements StoredTensors {
  private static final String HEAD = ParameterLayout.HEAD + ".weight";
  private static final int CHUNK_ROWS = 1024;

  private final StoredTensors stored;
  private final int vocabulary;
  private final boolean tied;
  private final int first;
  private final int count;
  private final Arena arena = Arena.ofShared();
  private final Map<String, Tensor> extended = new HashMap<>();

  /// @param stored closed with this
  /// @param config of the stored tensors
  /// @param first id of the first new token, from 1 to the vocabulary's size
  /// @throws InputException if embedding or head are stored in 4 bit
  TokenRows(StoredTensors stored, ModelConfig config, int first, int count) {
    if (first < 1 || first > config.vocabulary() || count < 1) {
      throw new IllegalArgumentException(
          "tokens %d…%d beside %d".formatted(first, first + count - 1, config.vocabulary()));
    }
    this.stored = stored;
    this.first = first;
    this.count = count;
    vocabulary = config.vocabulary();
    tied = config.tiedEmbeddings();
    for (String name : stored.names()) {
      if (grows(name) && stored.contains(name) && !stored.tensor(name).dtype().isFloating()) {
        throw new InputException(
            "%s: %s is stored in 4 bit, so no tokens can be added; use a checkpoint that keeps it in 16 bit"
                .formatted(stored.fileOf(name), name));
      }
    }
  }

  private boolean grows(String name) {
    return name.equals(ParameterLayout.EMBEDDING) || (name.equals(HEAD) && !tied);
  }

  @Override
  public SequencedSet<String> names() {
    return stored.names();
  }

  @Override
  public boolean contains(String name) {
    return stored.contains(name);
  }

  @Override
  public Tensor tensor(String name) {
    Tensor tensor = stored.tensor(name);
    // A tensor of another shape than the configuration says is for the reader to refuse.
    boolean grows = grows(name) && tensor.shape().rank() == 2 && tensor.rows() == vocabulary;
    return grows ? extended.computeIfAbsent(name, _ -> extend(tensor)) : tensor;
  }

  private Tensor extend(Tensor source) {
    long rows = Math.max(vocabulary, (long) first + count);
    Tensor target = Tensor.allocate(arena, source.dtype(), Shape.of(rows, source.cols()));
    MemorySegment.copy(source.segment(), 0, target.segment(), 0, source.byteSize());
    Tensor mean = Tensor.ofRounded(source.dtype(), Shape.of(1, source.cols()), mean(source));
    for (int row = first; row < first + count; row++) {
      target.rows(row, 1).segment().copyFrom(mean.segment());
    }
    return target;
  }

  private float[] mean(Tensor source) {
    int columns = Math.toIntExact(source.cols());
    double[] sums = new double[columns];
    for (int from = 0; from < first; from += CHUNK_ROWS) {
      float[] values = source.rows(from, Math.min(CHUNK_ROWS, first - from)).toFloats();
      for (int i = 0; i < values.length; i += columns) {
        for (int column = 0; column < columns; column++) {
          sums[column] += values[i + column];
        }
      }
    }
    float[] mean = new float[columns];
    for (int column = 0; column < columns; column++) {
      mean[column] = (float) (sums[column] / first);
    }
    return mean;
  }

  @Override
  public Path fileOf(String name) {
    return stored.fileOf(name);
  }

  @Override
  public void close() {
    stored.close();
    arena.close();
  }
}
